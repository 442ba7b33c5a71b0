"""Time passes for what waits on a server."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import redis

import gresque
from gresque.testing import approx
from gresque.testing.server import TestServer, server


@gresque.job("q", name="passing.plain", expires_seconds=100)
def plain(number: int) -> None: ...


@gresque.job("q", name="passing.unique", unique="both", unique_ttl_seconds=60)
def unique() -> None: ...


@gresque.job("q", name="passing.throttled", throttle=60)
def throttled() -> None: ...


@pytest.fixture
def served(redis_url: str) -> Iterator[TestServer]:
    with server(redis_url) as served:
        yield served


def test_jobs_are_due_and_expire_earlier(served: TestServer) -> None:
    plain.enqueue_in(60, 1)
    plain.enqueue(2)
    waiting, queued = gresque.delayed()[0], gresque.peek("q")[0]
    served.advance(59)
    after = gresque.delayed()[0]
    assert (waiting.due - after.due).total_seconds() == 59
    assert waiting.payload["expires_at"] - after.payload["expires_at"] == pytest.approx(59)
    assert queued["expires_at"] - gresque.peek("q")[0]["expires_at"] == pytest.approx(59)
    served.assert_enqueued(plain, 1, at=approx(after.due, seconds=0))


def test_locks_expire_earlier(served: TestServer, redis_client: redis.Redis) -> None:
    first = unique.enqueue()
    assert unique.enqueue() == first
    throttled.enqueue()
    served.advance(59)
    assert gresque.locks()[0].expires_in is not None
    assert all((lock.expires_in or 0) < 2 for lock in gresque.locks())
    served.advance(60)
    assert unique.enqueue() != first
    assert not throttled.enqueue().duplicate  # type: ignore[union-attr]


def test_a_debounced_job_runs_by_the_time_of_its_first_trigger(served: TestServer) -> None:
    debounced = plain.options(debounce=60, max_wait=90)
    debounced.enqueue(1)
    served.advance(50)
    debounced.enqueue(1)
    left = gresque.delayed()[0].due.timestamp() - time.time()
    assert 30 < left <= 40


def test_a_server_is_left_empty(redis_url: str, redis_client: redis.Redis) -> None:
    with server(redis_url) as served:
        plain.enqueue(1)
        assert served.only().args == (1,)
        assert gresque.Client(namespace="other").size("q") == 0
    assert not redis_client.keys("*")
