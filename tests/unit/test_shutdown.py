"""Until when a process that was terminated may still do something."""

from __future__ import annotations

import time

import gevent

from gresque.worker.shutdown import Shutdown


def test_nothing_is_limited_before_it_begins() -> None:
    shutdown = Shutdown()
    assert not shutdown.has_begun
    assert shutdown.seconds_left(7) == 7
    assert shutdown.sleep(0.001)


def test_what_is_left() -> None:
    shutdown = Shutdown()
    shutdown.begin(60)
    assert shutdown.has_begun
    assert shutdown.seconds_left(7) == 7
    assert 0 < shutdown.seconds_left(1000) <= 60
    shutdown = Shutdown()
    shutdown.begin(0)
    assert shutdown.seconds_left(7) <= 0
    assert not shutdown.sleep(60)


def test_it_begins_while_something_sleeps() -> None:
    shutdown, start = Shutdown(), time.monotonic()
    gevent.spawn_later(0.01, shutdown.begin, 0)
    assert not shutdown.sleep(60)
    assert time.monotonic() - start < 30
