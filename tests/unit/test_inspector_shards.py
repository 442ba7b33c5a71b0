"""Asking all shards at once, and adding up what they answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import redis

from gresque.errors import AmbiguousId
from gresque.failure.backend import GroupCount, RedisBackend, merge_groups
from gresque.failure.search import Group
from gresque.inspector.flow import Serving
from gresque.inspector.queues import QueueDetails, QueueStatus, WaitingJob
from gresque.inspector.running_groups import RunningGroup
from gresque.inspector.shards import Answers, InShard, ask_all, merge_rows
from gresque.inspector.stats import merge_summaries, read_summary_and_queues
from gresque.inspector.workers import WorkerStatus
from gresque.store.store import Store
from tests.process.support import wait_for
from tests.support.cli import WORKER, fail, register
from tests.support.server import OwnServer


@pytest.fixture
def other(own: OwnServer) -> Iterator[Store]:
    with closing(Store(own.url, "resque", reply_seconds=2)) as store:
        yield store


@pytest.fixture
def stores(store: Store, other: Store) -> dict[str, Store]:
    """Two shards, on a server each."""
    return {"a": store, "b": other}


def threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("shard ")]


class TestAskAll:
    def test_answers_in_the_order_of_the_shards(self, stores: dict[str, Store]) -> None:
        begun = threading.Barrier(2)

        def url(store: Store) -> str:
            begun.wait(20)  # both are asked at the same time
            time.sleep(0.05 if store is stores["a"] else 0)
            return store.server.url

        found = ask_all(stores, url, seconds=30)
        assert [*found.by_shard.items()] == [(n, s.server.url) for n, s in stores.items()]
        assert found.missing == {}
        assert found.values == [stores["a"].server.url, stores["b"].server.url]

    def test_one_shard_is_asked_without_a_thread(self, store: Store) -> None:
        found = ask_all({"a": store}, lambda store: threading.current_thread())
        assert found == Answers({"a": threading.current_thread()}, {})

    def test_errors_of_one_shard_are_raised(self, own: OwnServer, other: Store) -> None:
        own.kill()
        with pytest.raises(redis.ConnectionError):
            ask_all({"a": other}, QueueStatus.all)

    def test_a_server_that_hangs_is_missing(self, stores: dict[str, Store], own: OwnServer) -> None:
        own.stop()
        assert stores["a"].now()  # it is connected
        began = time.monotonic()
        found = ask_all(stores, QueueStatus.all, seconds=1)
        assert time.monotonic() - began < 10
        assert found.by_shard == {"a": []}
        assert found.missing == {"b": f"no answer from Redis at {own.socket} within 1 s"}
        # Its thread ends with its store, while the server still hangs.
        assert threads() == ["shard b"]
        stores["b"].close()
        wait_for(lambda: not threads())

    def test_a_reply_is_limited_by_the_store(
        self, stores: dict[str, Store], own: OwnServer
    ) -> None:
        with closing(Store(own.url, "resque", reply_seconds=0.2)) as hasty:
            own.stop()
            found = ask_all({"a": stores["a"], "b": hasty}, QueueStatus.all, seconds=None)
        assert [*found.missing] == ["b"]
        assert found.missing["b"].startswith(f"no answer from Redis at {own.socket} (Timeout")
        assert not threads()

    def test_a_server_that_is_away_or_refuses_is_missing(
        self, stores: dict[str, Store], own: OwnServer
    ) -> None:
        own.redis.config_set("requirepass", "secret")
        assert "refuses: " in ask_all(stores, QueueStatus.all, seconds=30).missing["b"]
        own.kill()
        found = ask_all(stores, QueueStatus.all, seconds=30)
        assert found.missing["b"].startswith(f"no answer from Redis at {own.socket} (")

    def test_an_error_of_the_caller_is_raised(self, stores: dict[str, Store]) -> None:
        def refuse(store: Store) -> None:
            if store is stores["b"]:
                raise AmbiguousId("two jobs")

        with pytest.raises(AmbiguousId, match="two jobs"):
            ask_all(stores, refuse, seconds=30)


def test_rows_are_merged() -> None:
    found = merge_rows({"a": [1, 4, 5], "b": [2, 3, 9]}, lambda row: row)
    assert [*found] == [
        InShard("a", 1), InShard("b", 2), InShard("b", 3), InShard("a", 4), InShard("a", 5),
        InShard("b", 9),
    ]  # fmt: skip
    some = merge_rows({"a": [5, 4, 1], "b": [9, 3, 2]}, lambda row: row, 1, 2, reverse=True)
    assert [*some] == [InShard("a", 5), InShard("a", 4)]


def ask(stores: dict[str, Store], function: Callable[[Store], Any]) -> dict[str, Any]:
    found = ask_all(stores, function, seconds=30)
    assert not found.missing
    return found.by_shard


class TestSums:
    def test_queues(self, stores: dict[str, Store]) -> None:
        for name, queue, count in (("a", "mail", 2), ("b", "mail", 3), ("b", "web", 1)):
            stores[name].enqueuer.push(queue, [b'{"class":"Greet"}'] * count)
        stores["b"].policies.limit("web", cap=5)
        for store in stores.values():
            store.policies.pause("mail")
        assert QueueStatus.merge(ask(stores, QueueStatus.all)) == [
            QueueStatus("mail", 5, "paused"),
            QueueStatus("web", 1, "at most 5 jobs at once, 0 in flight"),
        ]
        stores["a"].policies.unpause("mail")
        found = QueueDetails.merge(ask(stores, lambda store: QueueDetails.read(store, "mail")))
        assert (found.size, found.policy, found.classes) == (5, "b: paused", {"Greet": 5})

    def test_the_age_of_a_queue_is_that_of_the_job_that_waits_longest(self) -> None:
        found = {
            name: QueueDetails("mail", 1, None, 0, age, {}, (name,))
            for name, age in (("a", 3.0), ("b", None), ("c", 8.0))
        }
        merged = QueueDetails.merge(found)
        assert (merged.age_seconds, merged.workers) == (8.0, ("a", "b", "c"))

    def test_waiting_jobs_of_no_age_stay_with_those_before_them(self) -> None:
        rows = {
            name: [WaitingJob(place, {}, age) for place, age in enumerate(ages)]
            for name, ages in (("a", [9.0, None, 1.0]), ("b", [5.0, 2.0]))
        }
        merged = merge_rows(rows, lambda job: job.order)
        assert [row.value.age_seconds for row in merged] == [9.0, None, 5.0, 2.0, 1.0]

    def test_a_worker_that_serves_several_shards(self, stores: dict[str, Store]) -> None:
        for held, store in enumerate(stores.values(), 1):
            register(store.redis, held)
        stores["b"].redis.set(f"resque:stat:processed:{WORKER}", 20)
        (found,) = WorkerStatus.merge(ask(stores, WorkerStatus.all))
        assert (found.id, found.held, len(found.processes)) == (WORKER, 3, 2)
        assert (found.processed, found.failed) == (29, 4)
        assert found.registered

    def test_a_worker_that_has_beaten_on_one_shard_alone(self) -> None:
        silent = WorkerStatus("w", None, False, False, "2026", "", None, (), 1, 0, 0, 1)
        beats = WorkerStatus("w", None, True, True, "2025", "now", 3.0, (), 1, 0, 0, 2)
        (found,) = WorkerStatus.merge({"a": [silent], "b": [beats]})
        assert (found.heartbeat_age_seconds, found.started) == (3.0, "2025")
        assert (found.own, found.held) == (True, 3)

    def test_numbers(self, stores: dict[str, Store]) -> None:
        for store in stores.values():
            store.enqueuer.push("mail", [b"{}"])
            register(store.redis, 2)
            fail(store.redis, 1)
        stores["b"].enqueuer.push("web", [b"{}"])
        summary, names = merge_summaries(
            ask(stores, lambda store: read_summary_and_queues(store, "redis"))
        )
        assert names == ["mail", "web"]
        assert summary._asdict() == {
            "processed": 0, "failed": 0, "retried": 0, "pending": 3, "in_flight": 4, "queues": 2,
            "workers": 2, "processes": 2, "failed_list": 2, "delayed": 0,
        }  # fmt: skip

    def test_groups_of_failed_jobs(self, stores: dict[str, Store]) -> None:
        fail(stores["a"].redis, 1, 2, 3)
        fail(stores["b"].redis, 4, 5, retried=True)
        found = merge_groups(ask(stores, lambda store: RedisBackend(store).groups()).values())
        ((key, group),) = found.items()
        assert key == Group("Greet", "ValueError", "q")
        assert (group.count, group.retried) == (5, 2)
        older, newer = GroupCount(1, 0, "2026/01/01"), GroupCount(9, 0, "2026/02/02")
        merged = merge_groups([{key: older}, {key: newer, Group("X", None, None): GroupCount(99)}])
        assert [*merged.values()] == [GroupCount(99), GroupCount(10, 0, "2026/02/02")]
        assert (older.count, newer.count) == (1, 9)

    def test_groups_of_running_jobs_have_one_median(self) -> None:
        one, two = ("Greet", "mail"), ("Greet", "web")
        groups = RunningGroup.of([(one, 1.0, False), (one, 2.0, True), (one, 9.0, False),
                                  (two, 0.0, False)])  # fmt: skip
        assert groups[0] == RunningGroup("Greet", "mail", 3, 9.0, 2.0, 1)
        assert groups[1].oldest_seconds is None

    def test_who_serves_queues(self, stores: dict[str, Store]) -> None:
        register(stores["b"].redis)
        stores["a"].enqueuer.push("mail", [b"{}"])
        stores["b"].policies.pause("mail")
        stores["a"].policies.limit("mail", cap=3)
        found = Serving.merge(ask(stores, lambda store: Serving.read(store, ["mail", "x"])))
        mail, other = found.queues
        assert (mail.waiting, mail.is_served, mail.is_known) == (1, True, True)
        assert (other.waiting, other.is_served, other.is_known) == (0, False, False)
        assert found.has_workers
        assert found.policies.policy("mail").paused
