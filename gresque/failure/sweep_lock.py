"""The lock on the failed jobs: one command at a time works through them."""

from __future__ import annotations

import os
import time
from types import TracebackType

from gresque.errors import SweepLockLost
from gresque.failure.progress import Progress
from gresque.store.store import Store

EXPIRY_MS = 15_000
"""A holder that makes no step for this long, by the server's clock, counts as dead."""
POLL_SECONDS = 0.1


class SweepLock:
    """Held by a command that works through the failed jobs; each of its steps renews it.

        with SweepLock(store, progress) as lock:
            if lock.held: ...

    It waits for another holder for as long as `progress` wants to. A holder that dies loses it
    after 15 s.
    """

    def __init__(self, store: Store, progress: Progress) -> None:
        self.token = os.urandom(16).hex()
        """Names this holder in Redis."""
        self.held = False
        self._failed = store.failed
        self._progress = progress

    def __enter__(self) -> SweepLock:
        while not self._failed.begin_sweep(self.token, EXPIRY_MS):
            if not self._progress.waiting():
                return self
            time.sleep(POLL_SECONDS)
        self.held = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.held:
            self._failed.end_sweep(self.token)

    def lost(self) -> SweepLockLost:
        """The error for a step that found another holder."""
        return SweepLockLost(
            "another command took over the lock on the failed jobs: this one made no progress for "
            f"{EXPIRY_MS // 1000} s; what it did is kept, nothing is lost: run it again for the "
            "rest"
        )
