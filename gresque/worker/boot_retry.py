"""Waiting for Redis while a worker process comes up."""

from __future__ import annotations

import logging
import random
import select
import time
from collections.abc import Callable
from typing import TypeVar

from gevent import sleep
from redis.exceptions import RedisError

from gresque.connection.errors import explain
from gresque.errors import BootError, RedisUnavailable
from gresque.processes.spec import ProcessSpec
from gresque.unpatched import original

log = logging.getLogger("gresque.worker")

T = TypeVar("T")

FIRST_BACKOFF_SECONDS = 0.05
LONGEST_BACKOFF_SECONDS = 5.0


class BootRetry:
    """Calls what needs Redis until Redis answers.

    The first processes of a master fail at once instead: an address that is wrong shall be told.
    """

    def __init__(self, spec: ProcessSpec, must_leave: Callable[[], bool]) -> None:
        """`must_leave()`: it is of no use to go on."""
        self._spec = spec
        self._must_leave = must_leave
        self._away_since: float | None = None

    def call(self, ask: Callable[[], T]) -> T:
        """Call until there is an answer. Raises BootError."""
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            try:
                answer = ask()
            except (RedisError, RedisUnavailable, OSError) as error:
                self._wait(backoff * random.uniform(0.5, 1.0), error)
                backoff = min(backoff * 2, LONGEST_BACKOFF_SECONDS)
            else:
                if self._away_since is not None:
                    log.warning("Redis is back after %.1f s", time.monotonic() - self._away_since)
                    self._away_since = None
                return answer

    def _wait(self, seconds: float, error: Exception) -> None:
        told = explain(self._spec.settings.redis_url, error)
        if not self._spec.retry_connect:
            raise BootError(told) from error
        if self._away_since is None:
            self._away_since = time.monotonic()
            log.warning("%s; waiting for it", told)
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._must_leave() or self._master_is_gone():
                raise BootError(f"told to leave, and {told}") from error
            sleep(min(left, 0.1))

    def _master_is_gone(self) -> bool:
        poll = original("select", "poll")()
        poll.register(self._spec.life_fd, select.POLLIN)
        return bool(poll.poll(0))
