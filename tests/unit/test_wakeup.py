"""Where the main greenlet of a worker process waits, on gevent without its patches."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent import get_hub

from gresque.worker.turns.wakeup import Wakeup


@pytest.fixture
def wakeup() -> Wakeup:
    return Wakeup()


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    start = time.monotonic()
    return function(), time.monotonic() - start


def test_a_wakeup_before_the_wait_is_kept(wakeup: Wakeup) -> None:
    wakeup.set()
    assert wakeup.wait(None) is True
    assert wakeup.wait(0.0) is False, "and taken once"


@pytest.mark.parametrize("limit", [None, 20.0])
def test_a_wakeup_during_the_wait(wakeup: Wakeup, limit: float | None) -> None:
    gevent.spawn_later(0.01, wakeup.set)
    woken, took = timed(lambda: wakeup.wait(limit))
    assert woken is True
    assert took < 10


@pytest.mark.parametrize("limit", [0.0, 0.01, -1.0, 1e-9])
def test_a_timeout(wakeup: Wakeup, limit: float) -> None:
    gevent.sleep(0.001)  # the loop's clock, by which timers run, is that of its last turn
    woken, took = timed(lambda: wakeup.wait(limit))
    assert woken is False
    assert took >= limit * 0.5


def test_two_wakeups_are_one(wakeup: Wakeup) -> None:
    wakeup.set()
    wakeup.set()
    assert wakeup.wait(None) is True
    assert wakeup.wait(0.0) is False
    for times in (1, 2, 5):
        for _ in range(times):
            get_hub().loop.run_callback(wakeup.set)
        assert wakeup.wait(None) is True
    assert wakeup.wait(0.01) is False


def test_a_wakeup_while_the_waiter_is_woken_is_kept(wakeup: Wakeup) -> None:
    """Set once, the waiter is on its way; another wakeup may come too late for it."""
    get_hub().loop.run_callback(wakeup.set)
    assert wakeup.wait(None) is True
    wakeup.set()
    assert wakeup.wait(0.0) is True


def test_a_wakeup_and_a_timeout_at_once_wake_once(wakeup: Wakeup) -> None:
    for _ in range(200):
        timer = get_hub().loop.timer(0.0005)
        timer.start(wakeup.set)
        wakeup.wait(0.0005)
        wakeup.wait(0.001)
        timer.close()
    wakeup.wait(0.0)
    assert wakeup.wait(0.005) is False
    gevent.sleep(0.001)


def test_a_late_wakeup_does_not_disturb_another_wait(wakeup: Wakeup) -> None:
    assert wakeup.wait(0.001) is False
    gevent.spawn(wakeup.set)
    _, took = timed(lambda: gevent.sleep(0.05))
    assert took > 0.025
    assert wakeup.wait(0.0) is True


def test_many_wakeups_and_waits(wakeup: Wakeup) -> None:
    woken = 0

    def setter() -> None:
        nonlocal woken
        for _ in range(500):
            woken += 1
            wakeup.set()
            gevent.sleep(random.choice([0, 0, 0, 1e-4]))

    setters = [gevent.spawn(setter) for _ in range(4)]
    waits = 0
    while not all(setter.ready() for setter in setters):
        wakeup.wait(0.001)
        waits += 1
    assert woken == 2000
    assert waits >= 500
