"""`gresque workers`, as a user calls it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest
import redis

from gresque.inspector.workers import WorkerStatus
from gresque.store.store import Store
from tests.support.captures import put
from tests.support.cli import (
    WORKER,
    Call,
    odd_workers,
    register,
)


class TestWorkers:
    def test_none(self, call: Call) -> None:
        assert call("workers") == (0, "no workers\n", "")
        assert json.loads(call("workers", "--json").out) == []

    def test_status(self, store: Store, redis_client: redis.Redis) -> None:
        register(redis_client, held=3)
        (worker,) = WorkerStatus.all(store)
        assert worker.name is not None
        assert (worker.name.master_pid, worker.name.queues) == (10, "mail,bulk")
        assert (worker.registered, worker.started) == (True, "2026-11-23 15:33:10 +0000")
        assert (worker.held, worker.processed, worker.failed) == (3, 9, 2)
        assert worker.heartbeat_age_seconds is not None
        assert 5 <= worker.heartbeat_age_seconds < 30
        (process,) = worker.processes
        assert (process.pid, process.held) == (11, 3)
        assert 5 <= process.beat_age_seconds < 30

    def test_one_that_left_its_jobs_behind_is_listed(
        self, call: Call, store: Store, redis_client: redis.Redis
    ) -> None:
        register(redis_client, held=1)
        store.workers.unregister(WORKER)
        assert redis_client.sismember("resque:workers", WORKER), "a process has a ledger still"
        redis_client.srem("resque:workers", WORKER)
        redis_client.hdel("resque:workers:heartbeat", WORKER)
        (worker,) = WorkerStatus.all(store)
        assert (worker.registered, worker.held) == (False, 1)
        assert "-, gone" in call("workers").out

    @pytest.mark.parametrize("hours", [-5, 0, 5.5])
    def test_heartbeats_of_other_programs_are_in_their_local_time(
        self, store: Store, redis_client: redis.Redis, hours: float
    ) -> None:
        zone = timezone(timedelta(hours=hours))
        beat = datetime.fromtimestamp(int(redis_client.time()[0]) - 100, zone)
        redis_client.sadd("resque:workers", "ny:1:q")
        redis_client.hset("resque:workers:heartbeat", "ny:1:q", beat.isoformat())
        (worker,) = WorkerStatus.all(store)
        assert worker.heartbeat_age_seconds is not None
        assert 100 <= worker.heartbeat_age_seconds < 130

    def test_workers_of_other_programs_say_what_they_run(
        self, store: Store, redis_client: redis.Redis
    ) -> None:
        register(redis_client)
        for name in ("stock_worker_running", "fork_worker_running", "node_worker_running"):
            put(redis_client, name)
        found = {each.id: each for each in WorkerStatus.all(store)}
        assert [each.id for each in found.values() if each.own] == [WORKER]
        stock, fork, node = "vm:12225:py", "vm:12335:py:1:2:10", "vm:12068:py"
        assert [found[each].held for each in (stock, fork, node)] == [1, 1, 1]
        ages = [found[each].heartbeat_age_seconds for each in (stock, fork, node)]
        assert all(age is not None and age > 0 for age in ages), "Node's stands in worker:ping"

    def test_listing(self, call: Call, redis_client: redis.Redis) -> None:
        register(redis_client, held=2)
        redis_client.set(f"resque:stat:retried:{WORKER}", 4)
        titles, row = call("workers").out.splitlines()
        assert titles.split() == [
            "WORKER", "STARTED", "HEARTBEAT", "PROCESSES", "HOLDS", "PROCESSED", "FAILED",
            "RETRIED",
        ]  # fmt: skip
        assert row.startswith(f"{WORKER}  2026-11-23 15:33:10 +0000  ")
        assert row.split()[-5:] == ["1", "2", "9", "2", "4"]
        (found,) = json.loads(call("workers", "--json").out)
        assert found["id"] == WORKER
        assert found["name"]["thread_count"] == 4
        assert found["processes"][0]["held"] == 2

    def test_odd_data(self, call: Call, redis_client: redis.Redis) -> None:
        odd_workers(redis_client)
        out = call("workers").out
        assert "vm:26136:bench" in out and r"\x1b[2J" in out and r"vm:1:\xff" in out
        assert "\x1b" not in out
        assert {"vm:26136:bench", "w:x:y"} <= {
            row["id"] for row in json.loads(call("workers", "--json").out)
        }
