"""Enqueueing many jobs by one call."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis

import gresque
from gresque.errors import (
    EnqueueError,
    NotEnqueued,
    UnserializableArgument,
)
from tests.support.client_jobs import Hooked, calls, items, noop

Redis = redis.Redis

pytestmark = pytest.mark.usefixtures("own_registry")


# Bulk


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2500])
def test_a_bulk_keeps_its_order(client: gresque.Client, redis_client: Redis, count: int) -> None:
    ids = client.enqueue_many(noop, [(number,) for number in range(count)])
    found = items(redis_client)
    assert [item["args"] for item in found] == [[number] for number in range(count)]
    assert [item["id"] for item in found] == ids
    assert len(set(ids)) == count
    assert redis_client.smembers("resque:queues") == ({b"bench"} if count else set())


def test_the_shapes_of_calls(client: gresque.Client, redis_client: Redis) -> None:
    ids = client.enqueue_many(noop, ((1, 2), [3], {"a": 4}, (), {}), queue="other")
    assert items(redis_client, "other") == [
        {"class": "Noop", "args": [1, 2], "id": ids[0], "generation": 1},
        {"class": "Noop", "args": [3], "id": ids[1], "generation": 1},
        {"class": "Noop", "args": [{"a": 4, "_kwargs": True}], "id": ids[2], "generation": 1},
        {"class": "Noop", "args": [], "id": ids[3], "generation": 1},
        {"class": "Noop", "args": [], "id": ids[4], "generation": 1},
    ]


@pytest.mark.parametrize("call", ["ab", 5, None, b"x", {1}, iter([1])])
def test_calls_that_are_none(client: gresque.Client, redis_client: Redis, call: Any) -> None:
    with pytest.raises(
        EnqueueError, match=r"^job 1 of the bulk: .* are no arguments; give a tuple"
    ):
        client.enqueue_many(noop, [(1,), call])
    for wrong in (5, None):
        with pytest.raises(EnqueueError, match="are no calls; give a list of tuples"):
            client.enqueue_many(noop, wrong)  # type: ignore[arg-type]
    assert redis_client.keys() == []


def test_a_generator_is_read_as_it_is_pushed(client: gresque.Client, redis_client: Redis) -> None:
    sizes: list[int] = []

    def numbers() -> Iterator[tuple[int]]:
        for number in range(3001):
            if number % 1000 == 0:
                sizes.append(redis_client.llen("resque:queue:bench"))
            yield (number,)

    assert len(client.enqueue_many(noop, numbers())) == 3001
    assert sizes == [0, 0, 1000, 2000] or sizes == [0, 1000, 2000, 3000]
    assert redis_client.llen("resque:queue:bench") == 3001


@pytest.mark.parametrize(("bad", "stays"), [(0, 0), (999, 0), (1000, 1000), (2500, 2000)])
def test_what_was_pushed_before_a_bad_call_stays(
    client: gresque.Client, redis_client: Redis, bad: int, stays: int
) -> None:
    arguments: list[Any] = [(number,) for number in range(3000)]
    arguments[bad] = ({1},)
    with pytest.raises(UnserializableArgument, match=f"^job {bad} of the bulk: Noop: argument 1 "):
        client.enqueue_many(noop, arguments)
    assert [item["args"] for item in items(redis_client)] == [[number] for number in range(stays)]


def test_what_was_pushed_before_the_generator_failed_stays(
    client: gresque.Client, redis_client: Redis
) -> None:
    def numbers() -> Iterator[tuple[int]]:
        yield from ((number,) for number in range(1500))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        client.enqueue_many(noop, numbers())
    assert redis_client.llen("resque:queue:bench") == 1000


def test_a_round_trip_that_fails_leaves_the_ones_before(
    client: gresque.Client, redis_client: Redis
) -> None:
    def numbers() -> Iterator[tuple[int]]:
        for number in range(3000):
            if number == 1500:
                redis_client.rename("resque:queue:bench", "saved")
                redis_client.set("resque:queue:bench", "x")
            yield (number,)

    with pytest.raises(NotEnqueued, match=r"WRONGTYPE.*; the 1,000 jobs of the bulk") as raised:
        client.enqueue_many(noop, numbers())
    saved = [json.loads(raw)["id"] for raw in redis_client.lrange("saved", 0, -1)]
    assert saved == list(raised.value.enqueued_ids)
    assert len(saved) == 1000
    assert isinstance(raised.value.__cause__, redis.ResponseError)


def test_hooks_run_for_each_job_of_a_bulk(client: gresque.Client, redis_client: Redis) -> None:
    ids = client.enqueue_many(Hooked, [(1,), (False,), (2,)])
    assert [item["id"] for item in items(redis_client, "hooked")] == ids
    assert [item["args"] for item in items(redis_client, "hooked")] == [[1], [2]]
    # The after hooks when the round trip is done: only then are the jobs in their queue.
    before = ["before 1", "before 2"]
    assert calls == [*before, "before 1", *before, "after", "after"]
