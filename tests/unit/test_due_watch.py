"""The next times in sorted sets, which the server announces."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
import redis

from gresque.maintenance import due_watch
from gresque.maintenance.due_watch import DueWatch
from tests.process.support import wait_for

UNITS = {"a": 1.0, "b": 0.001}


@pytest.fixture
def watch(redis_url: str) -> Iterator[DueWatch]:
    with closing(DueWatch(redis_url, "resque", UNITS)) as watch:
        yield watch


def left(watch: DueWatch) -> float:
    return watch.left(time.monotonic())


def looked(watch: DueWatch) -> None:
    """Once what a test has just changed is announced."""
    wait_for(lambda: left(watch) <= 0)
    watch.look()


def test_it_tells_the_earliest_of_each(watch: DueWatch, redis_client: redis.Redis) -> None:
    assert left(watch) == 0 and not watch.has_looked
    watch.look()
    assert watch.next("a") == watch.next("b") == math.inf
    assert 20 < left(watch) <= due_watch.RESYNC_SECONDS, "the connection may end unnoticed"
    now = time.time()
    redis_client.zadd("a", {"x": now + 100, "y": now + 50})
    redis_client.zadd("b", {"z": (now + 70) * 1000})
    looked(watch)
    assert watch.next("a") - time.monotonic() == pytest.approx(50, abs=5)
    assert watch.next("b") - time.monotonic() == pytest.approx(70, abs=5)
    redis_client.zrem("a", "y")
    looked(watch)
    assert watch.next("a") - time.monotonic() == pytest.approx(100, abs=5)


def test_many_changes_are_looked_at_together(
    watch: DueWatch, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nobody waits on a descriptor that is readable all the time."""
    monkeypatch.setattr(due_watch, "SHORTEST_SECONDS", 60.0)
    watch.look()
    assert watch.fileno(time.monotonic()) is not None
    redis_client.zadd("a", {"x": 5})
    wait_for(lambda: watch.fileno(time.monotonic()) is None)
    assert 50 < left(watch) <= 60
    watch.look()
    assert watch.fileno(time.monotonic()) is not None


def test_a_lost_connection_is_opened_again(watch: DueWatch, redis_client: redis.Redis) -> None:
    watch.look()
    redis_client.client_kill_filter(_type="normal", skipme=True)
    wait_for(lambda: left(watch) <= 0)
    with pytest.raises((redis.ConnectionError, OSError)):
        watch.look()
    assert not watch.has_looked and watch.fileno(0.0) is None
    redis_client.zadd("a", {"x": 5})
    watch.look()
    assert watch.next("a") < math.inf


def test_where_nothing_is_announced_it_looks_once_a_second(
    watch: DueWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch.look()
    watch._connection.tracking = False
    assert 0 < left(watch) <= due_watch.POLL_SECONDS


def test_a_key_of_another_type_has_no_next(watch: DueWatch, redis_client: redis.Redis) -> None:
    redis_client.set("a", "x")
    redis_client.zadd("b", {"x": 5})
    watch.look()
    assert watch.next("a") == math.inf > watch.next("b")
