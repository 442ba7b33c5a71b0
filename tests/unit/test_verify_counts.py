"""The hourly look at the counters of jobs in flight."""

from __future__ import annotations

import time

import pytest
import redis

from gresque.maintenance import verify_counts
from gresque.maintenance.lease import Lease
from gresque.maintenance.task import NEVER
from gresque.maintenance.verify_counts import VERIFY_SECONDS, VerifyCounts
from gresque.store.counts import Counts
from gresque.store.ledger import COUNTED, write_entry
from gresque.store.store import Store
from tests.support.ledgers import KEY, counts

WORKER = "vm:1:a:1:1:1"
PROCESS = f"{WORKER}:11:1"


@pytest.fixture
def task() -> VerifyCounts:
    lease = Lease("me")
    lease.held = True
    return VerifyCounts(lease)


def test_it_runs_once_an_hour_where_the_lease_is(task: VerifyCounts, store: Store) -> None:
    assert task.due(time.monotonic()) <= 0
    task.run(store)
    assert VERIFY_SECONDS - 60 < task.due(time.monotonic()) <= VERIFY_SECONDS
    assert VerifyCounts(Lease("another")).due(time.monotonic()) == NEVER


def test_without_caps_nothing_is_read_of_the_ledgers(
    task: VerifyCounts, store: Store, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis_client.zadd(store.keys.ledgers, {PROCESS: 1})
    monkeypatch.setattr(Counts, "correct", lambda *_: pytest.fail("it read the ledgers"))
    task.run(store)


@pytest.mark.parametrize("used", ["policy", "counter", "own counter"])
def test_a_drift_is_corrected(
    task: VerifyCounts, store: Store, redis_client: redis.Redis, used: str
) -> None:
    entry = write_entry(KEY, b"x", COUNTED)
    redis_client.hset(store.keys.ledger(PROCESS), mapping={"state": "1 1 0 0 0 0", "0": entry})
    redis_client.zadd(store.keys.ledgers, {PROCESS: 1})
    if used == "policy":
        redis_client.hset(store.keys.policies, "a", "c5")
    elif used == "counter":
        redis_client.hset(store.keys.inflight, "a", 2)
    else:
        redis_client.hset(store.keys.inflight_of(WORKER), "a", 2)
    task.run(store)
    assert counts(store) == {store.keys.inflight: {"a": 1}}


def test_redis_is_not_held_up(
    task: VerifyCounts,
    store: Store,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(verify_counts, "MOST_JOBS", 2)
    redis_client.hset(
        store.keys.ledger(PROCESS), mapping={"state": "1", **dict.fromkeys("123", "x")}
    )
    redis_client.zadd(store.keys.ledgers, {PROCESS: 1})
    redis_client.hset(store.keys.inflight, "a", 2)
    task.run(store)
    assert counts(store) == {store.keys.inflight: {"a": 2}}
    assert caplog.messages[-1].startswith("3 jobs are in flight: their counters are not compared")
