"""The right to go round the failed jobs, which one has at a time."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from gresque.errors import SweepLockLost
from gresque.failure.progress import Progress
from gresque.store.store import Store

EXPIRY_MS = 15_000
"""Without a step for this long, by the server's clock, who goes round counts as dead."""
LOOK_SECONDS = 0.1


@contextmanager
def sweep_lock(store: Store, progress: Progress) -> Iterator[str | None]:
    """The right to go round, as a token; None when `progress` did not want to wait for it.

    Who dies with it loses it after 15 s.
    """
    token = os.urandom(16).hex()
    while not store.failed.begin_sweep(token, EXPIRY_MS):
        if not progress.waits():
            yield None
            return
        time.sleep(LOOK_SECONDS)
    try:
        yield token
    finally:
        store.failed.end_sweep(token)


def sweep_lock_lost() -> SweepLockLost:
    return SweepLockLost(
        "another command took over the lock on the failed jobs: this one made no progress for "
        f"{EXPIRY_MS // 1000} s; what it did is kept, nothing is lost: run it again for the rest"
    )
