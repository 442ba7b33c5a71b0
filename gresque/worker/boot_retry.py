"""Waiting for Redis while a worker process comes up."""

from __future__ import annotations

import logging
import select
import time
from collections.abc import Callable
from typing import TypeVar

from gevent import sleep
from redis.exceptions import RedisError

from gresque.connection.errors import explain
from gresque.connection.outage import Outage
from gresque.errors import BootError, RedisUnavailable
from gresque.processes.spec import ProcessSpec
from gresque.unpatched import original

log = logging.getLogger("gresque.worker")

T = TypeVar("T")


class BootRetry:
    """Repeats calls that need Redis until Redis answers.

    The first processes of a master fail at once instead, so that a wrong address is reported.
    """

    def __init__(self, spec: ProcessSpec, must_leave: Callable[[], bool]) -> None:
        """`must_leave()` returns True when waiting is of no use any more."""
        self._spec = spec
        self._must_leave = must_leave
        self._outage = Outage(spec.settings.redis_url, log)

    def call(self, ask: Callable[[], T]) -> T:
        """Call until there is an answer. Raises BootError."""
        while True:
            try:
                answer = ask()
            except (RedisError, RedisUnavailable, OSError) as error:
                self._wait(error)
            else:
                self._outage.note_answer()
                return answer

    def _wait(self, error: Exception) -> None:
        explained = explain(self._spec.settings.redis_url, error)
        if not self._spec.retry_connect:
            raise BootError(explained) from error
        until = time.monotonic() + self._outage.note_error(error)
        while (left := until - time.monotonic()) > 0:
            if self._must_leave() or self._master_is_gone():
                raise BootError(f"asked to leave while {explained}") from error
            sleep(min(left, 0.1))

    def _master_is_gone(self) -> bool:
        poll = original("select", "poll")()
        poll.register(self._spec.life_fd, select.POLLIN)
        return bool(poll.poll(0))
