"""All findings together."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from benchmarks.held import Traffic
from gresque.inspector.findings.all import FINDINGS, find_all
from gresque.inspector.look import Counts
from gresque.store.store import Store
from tests.support.cli import odd_workers
from tests.support.views import PROCESS, WORKER, fail, grown, item, process, view, wait


def test_the_worst_first(store: Store, redis_client: redis.Redis) -> None:
    process(redis_client, PROCESS, item("A"), runs={"0": 9}, blocks=("0", 9), state="paused")
    wait(redis_client, "mail", item("A"))
    wait(redis_client, "web", item("A", age=20))
    fail(redis_client, "Rare", 3)
    fail(redis_client, "Often", 30)
    found = find_all(view(store))
    assert [each.kind for each in found] == ["blocked", "failing", "unserved", "failing", "paused"]
    assert [each.is_broken for each in found] == [True, True, True, False, False]


def test_nothing_is_wrong(store: Store, redis_client: redis.Redis) -> None:
    process(redis_client, PROCESS, item("A"), runs={"0": 9})
    wait(redis_client, "mail", item("A"))
    assert find_all(view(store)) == []


def test_what_others_keep_in_redis(store: Store, redis_client: redis.Redis) -> None:
    odd_workers(redis_client)
    redis_client.sadd("resque:queues", b"\xff", "a:b")
    redis_client.rpush(b"resque:queue:\xff", b"\xff", "x")
    redis_client.rpush("resque:queue:a:b", "x")
    redis_client.set("resque:recoveries", "x")
    redis_client.set("resque:failed", "x")
    for found in find_all(view(store)):
        assert (found.message + "".join(found.commands)).isprintable()


def test_keys_of_another_type(store: Store, redis_client: redis.Redis) -> None:
    def fill() -> None:
        process(redis_client, PROCESS, item("A"), runs={"0": 90}, blocks=("0", 9), state="paused")
        wait(redis_client, "mail", item("A"))
        redis_client.sadd("resque:suspects", "mail")
        redis_client.rpush("resque:suspects:1:mail", "{}")
        redis_client.sadd("resque:failed_queues", "mail_failed")
        fail(redis_client, "Often", 30)
        fail(redis_client, "Often", 30, key="resque:mail_failed")
        redis_client.rpush("resque:recoveries", "{}")

    fill()
    for key in redis_client.keys("resque:*"):
        redis_client.flushdb()
        fill()
        redis_client.delete(key)
        redis_client.pfadd(key, "x")
        for other in ("string", "zset"):
            for backend in ("redis", "redis_multi_queue"):
                find_all(view(store, backend))
            redis_client.delete(key)
            if other == "string":
                redis_client.zadd(key, {"x": 1})


def test_it_reads_little(
    store: Store, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With everything wrong at once, many queues, processes and failures."""
    for number in range(100):
        blocks = ("0", 9.0) if number % 2 else None
        name = f"{WORKER}:{100 + number}:1795485960660"
        state = "draining" if number % 3 else "paused"
        process(
            redis_client, name, *[item("A", "x" * 1000)] * 20,
            runs={"0": 99}, blocks=blocks, state=state, lag=2, beat_age=30 if number == 9 else 1,
        )  # fmt: skip
    for number in range(500):
        wait(redis_client, f"q{number}", *[item("A", "x" * 1000, age=700)] * 2)
    wait(redis_client, "mail", *[item("A", "x" * 1000, age=700)] * 2000)
    fail(redis_client, "Often", 5000)
    trips = _count_trips(store, monkeypatch)
    before = Counts.take(store)
    with Traffic(redis_client) as traffic:
        found = find_all(grown(view(store), mail=before.waiting["mail"] - 50))
    assert {each.kind for each in found} >= {
        "blocked", "failing", "unserved", "waiting_drains", "silent",
    }  # fmt: skip
    assert len(trips) < 30
    assert traffic.bytes_sent < 2_000_000
    assert traffic.calls.get("lrange", 0) < 20
    assert len(FINDINGS) == len({find.__name__ for find in FINDINGS})


def _count_trips(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    trips: list[int] = []
    for name in ("execute_command", "pipeline"):
        call: Any = getattr(store.redis, name)

        def counted(*arguments: Any, call: Any = call, **options: Any) -> Any:
            trips.append(1)
            return call(*arguments, **options)

        monkeypatch.setattr(store.redis, name, counted)
    return trips
