"""What stands in Redis at one moment."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from benchmarks.held import Traffic, hold
from gresque.inspector.look import Counts, Look
from gresque.store.store import Store
from tests.support.cli import odd_workers
from tests.support.views import PROCESS, fail, item, process, wait


def fill(client: redis.Redis) -> None:
    process(client, PROCESS, item("A"), item("B"), runs={"1": 5}, beat_age=3)
    wait(client, "mail", item("A"), item("B"))
    client.sadd("resque:suspects", "mail", "bulk", "empty")
    client.rpush("resque:suspects:1:mail", "{}")
    client.rpush("resque:suspects:2:bulk", "{}", "{}")
    client.mset({"resque:stat:processed": 7, "resque:stat:failed": 2})
    fail(client, "A", 3)


def test_counts(store: Store, redis_client: redis.Redis) -> None:
    fill(redis_client)
    counts = Counts.take(store)
    assert dict(counts.waiting) == {"mail": 3, "bulk": 2}
    assert (counts.processed, counts.failed) == (7, 2)


def test_look(store: Store, redis_client: redis.Redis) -> None:
    fill(redis_client)
    look = Look.take(store, "redis")
    assert dict(look.counts.waiting) == dict(Counts.take(store).waiting)
    assert dict(look.suspects) == {"mail": (1, 0), "bulk": (0, 2)}
    (found,) = look.processes
    assert (found.id, found.held, found.is_fenced, found.state) == (PROCESS, 2, False, "ready")
    assert 3 <= found.beat_age < 60
    assert [*found.running.since] == ["1"]
    assert found.totals.reserved == 2
    assert (look.held, look.kept_failed) == (2, 3)
    assert look.server["role"] == "master"


def test_a_failed_list_for_each_queue(store: Store, redis_client: redis.Redis) -> None:
    for name in ("a_failed", "b_failed"):
        redis_client.sadd("resque:failed_queues", name)
        fail(redis_client, "A", 2, key=f"resque:{name}")
    assert Look.take(store, "redis_multi_queue").kept_failed == 4


def test_what_others_keep_under_these_names(store: Store, redis_client: redis.Redis) -> None:
    odd_workers(redis_client)
    for key in ("queues", "suspects", "vitals", "stat:processed"):
        redis_client.rpush(f"resque:{key}", "x")
    look = Look.take(store, "redis")
    assert {process.id for process in look.processes} >= {"odd", "w:x:y"}
    assert look.counts.processed == 0


@pytest.mark.parametrize("take", [Counts.take, lambda store: Look.take(store, "redis")])
def test_two_round_trips_and_no_payload(
    store: Store, redis_client: redis.Redis, take: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(redis_client, 50, 40)
    fail(redis_client, "A", 5000)
    for number in range(200):
        wait(redis_client, f"q{number}", *[b"x" * 5000] * 3)
    trips: list[int] = []
    pipeline = store.redis.pipeline

    def counted(*arguments: Any, **options: Any) -> Any:
        trips.append(1)
        return pipeline(*arguments, **options)

    monkeypatch.setattr(store.redis, "pipeline", counted)
    with Traffic(redis_client) as traffic:
        take(store)
    assert len(trips) == 1, "one pipeline, which is sent twice"
    # What processes publish of 2,000 running jobs has 30 bytes each.
    assert traffic.bytes_sent < 200_000
