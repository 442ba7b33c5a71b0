"""Queues as a program sees them: taking jobs back, and looking."""

from __future__ import annotations

from typing import Any

import pytest
import redis

import gresque
from tests.support.client_jobs import Hooked, calls, items, noop

Redis = redis.Redis

pytestmark = pytest.mark.usefixtures("own_registry")


# Taking back


def fill(redis_client: Redis, *raws: str | bytes, queue: str = "bench") -> None:
    redis_client.sadd("resque:queues", queue)
    redis_client.rpush(f"resque:queue:{queue}", *raws)


def test_dequeue_by_arguments(client: gresque.Client, redis_client: Redis) -> None:
    for args, kwargs in (((1,), {}), ((2,), {}), ((1,), {"a": 1}), ((1,), {}), ((1, 2), {})):
        client.enqueue(noop, *args, **kwargs)
    assert client.dequeue(noop, 1) == 2
    assert [item["args"] for item in items(redis_client)] == [
        [2], [1, {"a": 1, "_kwargs": True}], [1, 2],
    ]  # fmt: skip
    assert client.dequeue(noop, 1, a=1) == 1
    assert client.dequeue(noop, 3) == 0
    assert client.dequeue(noop) == 2
    assert client.size("bench") == 0


@gresque.job(queue="bench", name="Charged")
def charged(customer: str, amount: int = 1, *, dry_run: bool = False) -> None: ...


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [(("c", 2), {}), (("c",), {"amount": 2}), ((), {"amount": 2, "customer": "c"})],
)
def test_dequeue_compares_calls_and_not_their_spelling(
    client: gresque.Client, redis_client: Redis, args: Any, kwargs: Any
) -> None:
    calls: list[Any] = [("c", 2), {"customer": "c", "amount": 2}]
    client.enqueue_many(charged, calls)
    client.enqueue(charged, "c", amount=2)
    client.enqueue(charged, "c", 2, dry_run=True)
    fill(redis_client, b'{"class":"Charged","args":["c",2,3,4]}')
    fill(redis_client, b'{"class":"Charged","args":["c"]}')
    assert client.dequeue(charged, *args, **kwargs) == 3
    assert client.dequeue(charged, "c", 2, 3, 4) == 1, "a call that it does not take"
    assert client.dequeue(charged, dry_run=True, amount=2, customer="c") == 1
    assert client.dequeue(charged, "c", 1) == 0, "defaults may change while jobs wait"
    assert client.dequeue(charged, "c") == 1


def test_dequeue_leaves_other_jobs_and_whatever_else(
    client: gresque.Client, redis_client: Redis
) -> None:
    others = [b'{"class":"Other","args":[1]}', b"not json", b"\xff", b"[]", b"{}", b'{"class":[]}']
    mine = [b'{"class":"Noop"}', b'{"args":[1], "class":"Noop"}', b'{"class":"Noop","args":null}']
    fill(redis_client, *others, *mine, *mine)
    assert client.dequeue(noop, 1) == 2
    assert client.dequeue(noop) == 4
    assert redis_client.lrange("resque:queue:bench", 0, -1) == others


def test_dequeue_hooks(client: gresque.Client, redis_client: Redis) -> None:
    client.enqueue(Hooked, False)
    client.enqueue(Hooked, 1)
    calls.clear()
    assert client.dequeue(Hooked, False) == 0
    assert calls == ["before dequeue"]
    assert client.dequeue(Hooked, 1) == 1
    assert calls[1:] == ["before dequeue", "after dequeue"]


def test_remove_queue(client: gresque.Client, redis_client: Redis) -> None:
    client.enqueue_many(noop, [()] * 5)
    client.enqueue_to("other", noop)
    assert client.remove_queue("bench") == 5
    assert client.queues() == ["other"]
    assert client.remove_queue("bench") == 0
    assert client.remove_queue("never was") == 0


# Looking


def test_an_empty_redis(client: gresque.Client, redis_url: str) -> None:
    assert client.queues() == []
    assert client.size("none") == 0
    assert client.peek("none") == []
    assert client.info() == {
        "pending": 0, "processed": 0, "queues": 0, "workers": 0, "working": 0, "failed": 0,
        "retried": 0, "delayed": 0, "schedules": 0, "servers": [redis_url],
        "all_paused": False, "paused": [], "limited": [],
    }  # fmt: skip


def test_info_counts(client: gresque.Client, redis_client: Redis) -> None:
    client.enqueue_many(noop, [()] * 3)
    client.enqueue_to("other", noop)
    client.enqueue_to("empty", noop)
    redis_client.lpop("resque:queue:empty")
    redis_client.mset({"resque:stat:processed": 7, "resque:stat:retried": 3})
    redis_client.rpush("resque:failed", "a", "b")
    redis_client.sadd("resque:workers", "w1", "w2")
    redis_client.zadd("resque:ledgers", {"w1:1:1": 1})
    redis_client.hset("resque:ledger:w1:1:1", mapping={"state": "1 1 0 0 0 0", "0": "1:q{}"})
    client.enqueue_in(60, noop)
    redis_client.rpush("resque:delayed:5", "{}", "{}")
    redis_client.zadd("resque:delayed_queue_schedule", {"5": 5})
    info = client.info()
    del info["servers"]
    assert info == {
        "pending": 4, "processed": 7, "queues": 3, "workers": 2, "working": 1, "failed": 2,
        "retried": 3, "delayed": 3, "schedules": 0,
        "all_paused": False, "paused": [], "limited": [],
    }  # fmt: skip
    assert client.queues() == ["bench", "empty", "other"]


@pytest.mark.parametrize(
    ("start", "count", "found"),
    [
        (0, 1, [0]), (0, 3, [0, 1, 2]), (1, 2, [1, 2]), (4, 9, [4]),
        (5, 1, []), (0, 99, [*range(5)])
    ],
)  # fmt: skip
def test_peek(client: gresque.Client, start: int, count: int, found: list[int]) -> None:
    client.enqueue_many(noop, [(number,) for number in range(5)])
    assert [item["args"] for item in client.peek("bench", start, count)] == [[n] for n in found]
    assert client.size("bench") == 5


def test_peek_shows_what_is_no_job_as_text(client: gresque.Client, redis_client: Redis) -> None:
    fill(redis_client, b'{"class":"A"}', b"x", b"\xff", b"[1]")
    assert client.peek("bench", 0, 9) == [
        {"class": "A"}, {"raw": "x"}, {"raw": "\\xff"}, {"raw": "[1]"},
    ]  # fmt: skip


def test_a_queue_whose_name_is_not_utf_8_is_listed(
    client: gresque.Client, redis_client: Redis
) -> None:
    redis_client.sadd("resque:queues", b"a\xff", "b")
    assert client.queues() == ["a\udcff", "b"]
