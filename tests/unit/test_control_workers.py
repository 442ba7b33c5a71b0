"""Pruning workers of other programs by hand, against what these programs leave in Redis."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import redis

from gresque.control.workers import NotPruned, prune
from gresque.inspector.audit import read_audit
from gresque.store.store import Store
from gresque.store.workers import THREADS_AT_ONCE
from tests.support.captures import captured, put
from tests.support.cli import PROCESS, WORKER, Call, register

STOCK, FORK, NODE = "vm:12225:py", "vm:12335:py:1:2:10", "vm:12068:py"
FORKS_THREAD = f"{FORK}:12352:0"
OLD = "2026-11-26T07:55:36-05:00"


def failed(client: redis.Redis, key: str = "resque:failed") -> list[dict[str, Any]]:
    return [json.loads(raw) for raw in client.lrange(key, 0, -1)]


def keys_of(client: redis.Redis, worker: str) -> set[str]:
    """What is left of a worker."""
    names = {key.decode() for key in client.scan_iter(match="*vm:*", count=1000)}
    in_sets = {worker} & {each.decode() for each in client.smembers("resque:workers")}
    beats = {worker} if client.hexists("resque:workers:heartbeat", worker) else set()
    return names | in_sets | beats


class TestPrune:
    def test_a_dead_worker_of_stock(self, store: Store, redis_client: redis.Redis) -> None:
        put(redis_client, "stock_worker_running")
        redis_client.mset({f"resque:stat:processed:{STOCK}": 3, f"resque:stat:failed:{STOCK}": 1})
        found = prune(store, STOCK, by="ana")
        assert [(job.queue, job.name) for job in found.jobs] == [("py", "PySlow")]
        (entry,) = failed(redis_client)
        (killed,) = failed_of_capture("fork_after_ui_kill")
        assert entry.keys() == killed.keys()
        assert entry.pop("failed_at").endswith(" UTC")
        assert entry == {
            "payload": {"class": "PySlow", "args": [30]},
            "exception": "Resque::PruneDeadWorkerDirtyExit",
            "error": f"Worker {STOCK} did not gracefully exit while processing PySlow",
            "backtrace": [],
            "worker": STOCK,
            "queue": "py",
        }
        assert keys_of(redis_client, STOCK) == set()
        assert redis_client.get("resque:stat:failed") is None, "Ruby's pruning counts nothing"
        (act,) = read_audit(store, 1)
        assert (act.by, act.verb, act.target, act.count) == (
            "ana", "workers prune", f"worker {STOCK}", 1,
        )  # fmt: skip

    def test_a_dead_worker_of_the_fork(self, store: Store, redis_client: redis.Redis) -> None:
        put(redis_client, "fork_worker_running")
        redis_client.rpush(f"resque:worker:{FORK}:12352:kills", "0")
        prune(store, FORK, by="ana")
        (entry,) = failed(redis_client)
        published = captured("fork_worker_running")[f"resque:worker:{FORKS_THREAD}"]
        assert entry["payload"] == json.loads(published["value"])["payload"]
        assert keys_of(redis_client, FORK) == set()

    def test_a_dead_worker_of_node(self, store: Store, redis_client: redis.Redis) -> None:
        put(redis_client, "node_worker_running")
        prune(store, NODE, by="ana")
        (entry,) = failed(redis_client)
        assert (entry["payload"]["class"], entry["queue"]) == ("PySlow", "py")
        assert keys_of(redis_client, NODE) == set(), "its ping goes as well"

    def test_one_list_for_each_queue(self, store: Store, redis_client: redis.Redis) -> None:
        put(redis_client, "stock_worker_running")
        prune(store, STOCK, by="ana", failure_backend="redis_multi_queue")
        assert len(failed(redis_client, "resque:py_failed")) == 1
        assert redis_client.smembers("resque:failed_queues") == {b"py_failed"}

    def test_more_threads_than_go_into_one_call(
        self, store: Store, redis_client: redis.Redis
    ) -> None:
        count = 2 * THREADS_AT_ONCE + 1
        names = [f"{FORK}:7:{number}" for number in range(count)]
        redis_client.sadd(f"resque:worker:{FORK}:threads", *names)
        job = {"queue": "q", "run_at": "x", "payload": {"class": "A", "args": []}}
        redis_client.mset({f"resque:worker:{name}": json.dumps(job) for name in names})
        prune(store, FORK, by="ana")
        assert len(failed(redis_client)) == count
        assert keys_of(redis_client, FORK) == set()

    def test_a_job_that_cannot_be_read_is_kept(
        self, store: Store, redis_client: redis.Redis
    ) -> None:
        redis_client.sadd("resque:workers", "vm:1:low,x")
        redis_client.set("resque:worker:vm:1:low,x", "{oops")
        prune(store, "vm:1:low,x", by="ana")
        (entry,) = failed(redis_client)
        assert entry["payload"] == {"class": "gresque.InvalidPayload", "args": ["{oops"]}
        assert entry["queue"] == "low"

    def test_nothing_happens_where_a_failed_list_is_refused(
        self, store: Store, redis_client: redis.Redis
    ) -> None:
        put(redis_client, "stock_worker_running")
        redis_client.set("resque:failed", "of another program")
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            prune(store, STOCK, by="ana")
        assert redis_client.exists(f"resque:worker:{STOCK}")
        assert redis_client.sismember("resque:workers", STOCK)

    def test_a_job_that_has_ended_meanwhile_is_not_failed(
        self, store: Store, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(redis_client, "stock_worker_running")
        know = type(store.workers).know

        def know_too_early(workers: Any, worker: str) -> Any:
            found = know(workers, worker)
            redis_client.delete(f"resque:worker:{STOCK}")
            return found

        monkeypatch.setattr(type(store.workers), "know", know_too_early)
        assert prune(store, STOCK, by="ana").jobs == ()
        assert failed(redis_client) == []

    def test_names_of_others_among_its_threads_are_left_alone(
        self, store: Store, redis_client: redis.Redis
    ) -> None:
        put(redis_client, "stock_worker_running")
        redis_client.sadd(f"resque:worker:{FORK}:threads", STOCK)
        prune(store, FORK, by="ana")
        assert redis_client.exists(f"resque:worker:{STOCK}")
        assert failed(redis_client) == []


class TestRefused:
    def test_an_unknown_worker(self, call: Call, redis_client: redis.Redis) -> None:
        answer = call("workers", "prune", "nobody:1:q", "--yes")
        assert (answer.code, answer.out) == (1, "")
        assert answer.err == "no worker 'nobody:1:q'; gresque workers lists them\n"
        assert failed(redis_client) == []

    def test_a_fresh_heartbeat(self, store: Store, redis_client: redis.Redis) -> None:
        put(redis_client, "stock_worker_running")
        now = int(redis_client.time()[0])
        redis_client.hset("resque:workers:heartbeat", STOCK, west_of_utc(now - 200))
        with pytest.raises(NotPruned, match=r"3 min ago.*after 5 min.*give --force"):
            prune(store, STOCK, by="ana")
        assert failed(redis_client) == []
        prune(store, STOCK, by="ana", force=True)
        assert len(failed(redis_client)) == 1

    def test_an_own_worker_with_processes(self, store: Store, redis_client: redis.Redis) -> None:
        register(redis_client, held=1)
        with pytest.raises(NotPruned, match=r"is gresque's and has 1 process; should"):
            prune(store, WORKER, by="ana", force=True)
        assert redis_client.hexists(f"resque:ledger:{PROCESS}", "0")

    def test_an_own_worker_without_processes(self, store: Store, redis_client: redis.Redis) -> None:
        register(redis_client)
        redis_client.hset("resque:masters", WORKER, "then")
        redis_client.delete("resque:ledgers", f"resque:ledger:{PROCESS}")
        with pytest.raises(NotPruned, match="counts as dead after 60 s"):
            prune(store, WORKER, by="ana")
        redis_client.hset("resque:workers:heartbeat", WORKER, OLD)
        prune(store, WORKER, by="ana")
        assert keys_of(redis_client, WORKER) == set()
        assert not redis_client.exists("resque:masters")


def test_the_command_asks_and_says_what_it_did(call: Call, redis_client: redis.Redis) -> None:
    put(redis_client, "stock_worker_running")
    redis_client.hset("resque:workers:heartbeat", STOCK, OLD)
    assert "give --yes to skip" in call("workers", "prune", STOCK).err
    assert call("workers", "prune", STOCK, "--yes").out == (
        f"pruned {STOCK}; 1 job went to the failed jobs: gresque failed\n"
    )
    put(redis_client, "node_worker_running")
    found = json.loads(call("workers", "prune", NODE, "--yes", "--json").out)
    assert [each["failed"] for each in found] == [[{"queue": "py", "class": "PySlow"}]]


def failed_of_capture(name: str) -> list[dict[str, Any]]:
    return [json.loads(raw) for raw in captured(name)["resque:failed"]["value"]]


def west_of_utc(epoch_seconds: int) -> str:
    return datetime.fromtimestamp(epoch_seconds, timezone(timedelta(hours=-5))).isoformat()
