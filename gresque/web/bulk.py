"""Long actions that go on in the background while pages show how far they are."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import redis

from gresque.errors import GresqueError
from gresque.failure.progress import Progress
from gresque.logs import fields

log = logging.getLogger("gresque.web")

SHOWN_SECONDS = 120.0
"""For this long an action that is over is shown with what came of it."""


@dataclass
class Bulk(Progress):
    """One long action. `outcome` is a sentence, once it is over."""

    title: str
    by: str
    token: str = field(default_factory=lambda: secrets.token_urlsafe(9))
    done: int = 0
    total: int = 0
    is_waiting: bool = False
    """Another command works through the failed jobs; this one comes after it."""
    is_cancelled: bool = False
    outcome: str = ""
    is_bad: bool = False
    over_at: float | None = None

    def advanced(self, done: int, total: int) -> bool:
        self.is_waiting = False
        self.done, self.total = done, total
        time.sleep(0)  # requests have their turn
        return not self.is_cancelled

    def waiting(self) -> bool:
        self.is_waiting = True
        return not self.is_cancelled

    @property
    def is_over(self) -> bool:
        return self.over_at is not None


class Bulks:
    """Those of this process, under way or just over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[str, Bulk] = {}

    def start(self, title: str, work: Callable[[Bulk], str], *, by: str) -> Bulk:
        """Run `work` in the background; it returns the outcome."""
        bulk = Bulk(title, by)
        with self._lock:
            self._found[bulk.token] = bulk
        threading.Thread(target=self._run, args=(bulk, work), name="bulk", daemon=True).start()
        return bulk

    def shown(self) -> list[Bulk]:
        """The newest first."""
        now = time.monotonic()
        with self._lock:
            for token, bulk in list(self._found.items()):
                if bulk.over_at is not None and now - bulk.over_at > SHOWN_SECONDS:
                    del self._found[token]
            return [*reversed(self._found.values())]

    def cancel(self, token: str) -> bool:
        """False when it is over, or unknown."""
        bulk = self._found.get(token)
        if bulk is None or bulk.is_over:
            return False
        bulk.is_cancelled = True
        return True

    def close(self, seconds: float) -> None:
        """Cancel them all, and let them end where they are, for this long at most: what they did
        stands in the audit only once they have ended."""
        until = time.monotonic() + seconds
        for bulk in self.shown():
            self.cancel(bulk.token)
        while any(not bulk.is_over for bulk in self.shown()) and time.monotonic() < until:
            time.sleep(0.02)

    def _run(self, bulk: Bulk, work: Callable[[Bulk], str]) -> None:
        try:
            bulk.outcome = work(bulk)
        except (redis.RedisError, GresqueError, OSError) as error:
            bulk.outcome, bulk.is_bad = f"stopped: {error}", True
        except Exception as error:
            log.exception("a long action failed", extra=fields("bulk_failed", by=bulk.by))
            bulk.outcome, bulk.is_bad = f"stopped: {type(error).__name__}; see the log", True
        if bulk.is_cancelled and not bulk.is_bad:
            bulk.outcome = f"cancelled: {bulk.outcome}"
        bulk.over_at = time.monotonic()
