"""A clock for tests: it stands still, or goes on from another time, and can be moved.

Delays, expiries, attempts, schedules, locks and ids go by it, in a fake. The clock of a server and
`time.time()` do not.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import gresque.clock as clock
from gresque.client import when
from gresque.client.when import Delay, Moment


class TestClock:
    """In the place of the clock that `gresque` goes by."""

    __test__ = False  # for pytest, which would collect it

    def __init__(self, frozen_ns: int | None) -> None:
        self._frozen_ns = frozen_ns
        self._moved_ns = 0

    @property
    def stands_still(self) -> bool:
        return self._frozen_ns is not None

    @property
    def at(self) -> datetime:
        """Its time, in UTC."""
        return datetime.fromtimestamp(self.now(), UTC)

    def now(self) -> float:
        return self.now_ns() / 1e9

    def now_ns(self) -> int:
        start = time.time_ns() if self._frozen_ns is None else self._frozen_ns
        return start + self._moved_ns

    def advance(self, delay: Delay) -> None:
        """Move it forwards: seconds, or a timedelta."""
        self._moved_ns += round(when.delay(delay).seconds * 1e9)


current: TestClock | None = None


@contextmanager
def installed(test_clock: TestClock) -> Iterator[TestClock]:
    """All of gresque in this program goes by this clock meanwhile."""
    global current
    before = clock.now, clock.now_ns, current
    clock.now, clock.now_ns, current = test_clock.now, test_clock.now_ns, test_clock
    try:
        yield test_clock
    finally:
        clock.now, clock.now_ns, current = before


@contextmanager
def frozen(at: Moment | None = None) -> Iterator[TestClock]:
    """Let the clock stand still: at a datetime with a time zone, or seconds since the epoch, or
    now, which is later where a fake has been advanced. Yields the clock, whose `advance` moves it.

    with fake() as jobs, frozen(datetime(2027, 1, 1, tzinfo=UTC)):
        remind.enqueue_in(3600, 42)
        jobs.advance(3600)
        jobs.drain()

    A fake goes by it, with its delays, attempts, schedules and the expiries of locks and jobs. A
    server has a clock of its own.
    """
    ns = clock.now_ns() if at is None else round(when.at(at).seconds * 1e9)
    with installed(TestClock(ns)) as test_clock:
        yield test_clock
