"""Waiting for Redis while a worker process comes up."""

from __future__ import annotations

import logging
import select
import time
from collections.abc import Callable
from typing import TypeVar

from gevent import sleep
from redis.exceptions import RedisError

from gresque.backoff import Backoff
from gresque.connection.errors import explain
from gresque.errors import BootError, RedisUnavailable
from gresque.logs import fields
from gresque.processes.spec import ProcessSpec
from gresque.unpatched import original

log = logging.getLogger("gresque.worker")

T = TypeVar("T")

FIRST_BACKOFF_SECONDS = 0.05
LONGEST_BACKOFF_SECONDS = 5.0


class BootRetry:
    """Repeats calls that need Redis until Redis answers.

    The first processes of a master fail at once instead, so that a wrong address is reported.
    """

    def __init__(self, spec: ProcessSpec, must_leave: Callable[[], bool]) -> None:
        """`must_leave()` returns True when waiting is of no use any more."""
        self._spec = spec
        self._must_leave = must_leave
        self._away_since: float | None = None

    def call(self, ask: Callable[[], T]) -> T:
        """Call until there is an answer. Raises BootError."""
        backoff = Backoff(FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS)
        while True:
            try:
                answer = ask()
            except (RedisError, RedisUnavailable, OSError) as error:
                self._wait(backoff.next_seconds(), error)
            else:
                if self._away_since is not None:
                    away = time.monotonic() - self._away_since
                    back = fields("redis_back", seconds=away)
                    log.warning("Redis is back after %.1f s", away, extra=back)
                    self._away_since = None
                return answer

    def _wait(self, seconds: float, error: Exception) -> None:
        explained = explain(self._spec.settings.redis_url, error)
        if not self._spec.retry_connect:
            raise BootError(explained) from error
        if self._away_since is None:
            self._away_since = time.monotonic()
            log.warning("%s; waiting for it", explained, extra=fields("redis_away"))
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._must_leave() or self._master_is_gone():
                raise BootError(f"asked to leave while {explained}") from error
            sleep(min(left, 0.1))

    def _master_is_gone(self) -> bool:
        poll = original("select", "poll")()
        poll.register(self._spec.life_fd, select.POLLIN)
        return bool(poll.poll(0))
