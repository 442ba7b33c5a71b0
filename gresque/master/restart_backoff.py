"""Holding back forks while they come to nothing."""

from __future__ import annotations

import logging
import time

log = logging.getLogger("gresque.master")

LONGEST_BACKOFF_SECONDS = 30.0
QUICK_DEATH_SECONDS = 1.0
QUICK_DEATHS_ALLOWED = 10
"""So many processes may die within a second of their birth, one after the other, before the next
one has to wait: a crash now and then costs nothing, a crash loop does not burn the machine."""


class RestartBackoff:
    """When the next worker process may be forked: at once, but after boots that failed, or deaths
    in a row right after the birth, with a back-off that doubles."""

    def __init__(self) -> None:
        self.until = 0.0
        """On the monotonic clock."""
        self._failed_boots = 0
        self._quick_deaths = 0

    @property
    def over(self) -> bool:
        return time.monotonic() >= self.until

    def note_boot(self) -> None:
        """A process came to work."""
        self._failed_boots = 0

    def note_failed_boot(self) -> None:
        self._failed_boots += 1
        self._hold(self._failed_boots)

    def note_good_end(self) -> None:
        self._quick_deaths = 0

    def note_crash(self, age_seconds: float) -> None:
        """A process died that had come to work so long after its birth."""
        quick = age_seconds < QUICK_DEATH_SECONDS
        self._quick_deaths = self._quick_deaths + 1 if quick else 0
        if self._quick_deaths > QUICK_DEATHS_ALLOWED:
            self._hold(self._quick_deaths - QUICK_DEATHS_ALLOWED)

    def _hold(self, failures: int) -> None:
        backoff = min(2.0**failures, LONGEST_BACKOFF_SECONDS)
        self.until = time.monotonic() + backoff
        log.error("the next worker process is tried in %.0f s", backoff)
