"""An outage of Redis: how long to wait before the next try, and its two records in the log."""

from __future__ import annotations

import logging
import time

from gresque.backoff import Backoff
from gresque.connection.errors import explain
from gresque.connection.urls import endpoint
from gresque.logs import fields

FIRST_BACKOFF_SECONDS = 0.05
LONGEST_BACKOFF_SECONDS = 5.0
FAILOVER_BACKOFF_SECONDS = 1.0
"""The same where another server takes over soon."""


class Outage:
    """Logged once when it begins and once when it is over, with a back-off in between."""

    def __init__(
        self,
        url: str,
        log: logging.Logger,
        first_seconds: float = FIRST_BACKOFF_SECONDS,
        longest_seconds: float | None = None,
        consequence: str = "waiting for it",
    ) -> None:
        self._url = url
        self._log = log
        self._consequence = consequence
        if longest_seconds is None:
            fails_over = endpoint(url).fails_over
            longest_seconds = FAILOVER_BACKOFF_SECONDS if fails_over else LONGEST_BACKOFF_SECONDS
        self._backoff = Backoff(first_seconds, longest_seconds)
        self._since: float | None = None

    @property
    def lasts(self) -> bool:
        return self._since is not None

    def note_error(self, error: Exception) -> float:
        """Redis did not answer, or refused. Returns the seconds to wait before the next try."""
        if self._since is None:
            self._since = time.monotonic()
            explained, away = explain(self._url, error), fields("redis_away")
            self._log.warning("%s; %s", explained, self._consequence, extra=away)
        return self._backoff.next_seconds()

    def note_answer(self) -> bool:
        """Redis answered. Returns True when that ends an outage."""
        if self._since is None:
            return False
        seconds, self._since = time.monotonic() - self._since, None
        self._backoff.reset()
        back = fields("redis_back", seconds=round(seconds, 1))
        self._log.warning("Redis is back after %.1f s", seconds, extra=back)
        return True
