"""Queues that are not worked, or not fast enough."""

from __future__ import annotations

from dataclasses import replace

import pytest
import redis

from gresque.clock import iso_8601
from gresque.inspector.findings.queues import MANY, behind, paused, unserved
from gresque.store.policies import Rate
from gresque.store.store import Store
from tests.support.views import (
    OTHER,
    PROCESS,
    WORKER,
    clock,
    grown,
    item,
    process,
    said,
    view,
    wait,
)


class TestUnserved:
    def test_a_queue_that_nobody_serves(self, store: Store, redis_client: redis.Redis) -> None:
        process(redis_client)
        wait(redis_client, "mail", item("A"))
        wait(redis_client, "a,b", item("A", age=130), item("A"))
        (finding,) = unserved(view(store))
        assert finding.is_broken
        assert said(finding) == "no worker serves queue a,b: 2 jobs wait, the oldest for 2 min"
        assert finding.commands == (r"gresque work -q 'a\,b'",)
        assert finding.details["oldest_seconds"] == pytest.approx(130, abs=30)

    def test_no_worker_at_all_is_said_once(self, store: Store, redis_client: redis.Redis) -> None:
        assert list(unserved(view(store))) == []
        wait(redis_client, "mail", item("A", age=30))
        wait(redis_client, "bulk", b"{}")
        (finding,) = unserved(view(store))
        assert said(finding) == "no worker runs: 2 jobs wait in 2 queues, the oldest for N s"
        assert finding.commands == ("gresque work -q bulk,mail",)

    @pytest.mark.parametrize("has_worker", [True, False])
    def test_a_worker_may_be_about_to_start(
        self, store: Store, redis_client: redis.Redis, has_worker: bool
    ) -> None:
        if has_worker:
            process(redis_client)
        wait(redis_client, "other", item("A", age=2))
        (finding,) = unserved(view(store))
        assert not finding.is_broken
        wait(redis_client, "foreign", b"{}")
        assert any(finding.is_broken for finding in unserved(view(store))), "it says no age"
        redis_client.flushall()
        wait(redis_client, "other", item("A", age=20))
        (finding,) = unserved(view(store))
        assert finding.is_broken

    def test_a_dead_worker_serves_nothing(self, store: Store, redis_client: redis.Redis) -> None:
        process(redis_client, beat_age=100)
        wait(redis_client, "mail", item("A"))
        assert len([*unserved(view(store))]) == 1

    @pytest.mark.parametrize("worker", ["ruby:1:mail", "ruby:1:*", "ruby:1:m*,other", WORKER])
    def test_a_worker_without_a_process(
        self, store: Store, redis_client: redis.Redis, worker: str
    ) -> None:
        """One of another program, and one whose process has just left for its successor."""
        redis_client.sadd("resque:workers", worker, "odd", "a:b:")
        wait(redis_client, "mail", item("A"))
        assert list(unserved(view(store))) == []


class TestPaused:
    def test_by_all_its_processes(self, store: Store, redis_client: redis.Redis) -> None:
        wait(redis_client, "mail", item("A", age=50))
        process(redis_client, state="paused")
        process(redis_client, OTHER)
        assert list(paused(view(store))) == []
        process(redis_client, OTHER, state="paused")
        (finding,) = paused(view(store))
        assert said(finding) == "queue mail is paused in vm:10: 1 job waits, the oldest for N s"
        assert finding.commands == ("kill -CONT 10",)
        assert list(behind(grown(view(store), mail=0))) == []

    def test_by_name(self, store: Store, redis_client: redis.Redis) -> None:
        wait(redis_client, "mail", item("A", age=700))
        process(redis_client)
        store.policies.pause("mail")
        store.policies.pause("bulk")  # with nothing in it
        (finding,) = paused(view(store))
        assert said(finding) == "queue mail is paused: 1 job waits, the oldest for 12 min"
        assert finding.commands == ("gresque unpause mail",)
        assert not finding.is_broken
        assert list(behind(grown(view(store), mail=0))) == []

    def test_all_queues(self, store: Store, redis_client: redis.Redis) -> None:
        redis_client.set("resque:pause-all-workers", "True")  # by Ruby
        (finding,) = paused(view(store))
        assert said(finding).endswith("(by the key pause-all-workers): 0 jobs wait in 0 queues")
        wait(redis_client, "mail", item("A", age=700))
        process(redis_client)
        (finding,) = paused(view(store))
        assert said(finding) == (
            "all queues are paused, for Resque's Ruby workers, too (by the key pause-all-workers): "
            "1 job waits in 1 queue, the oldest for 12 min"
        )
        assert finding.commands == ("gresque unpause --all",)
        assert list(behind(grown(view(store), mail=0))) == []


class TestBehind:
    @pytest.mark.parametrize("limit", ["cap", "rate"])
    def test_one_that_is_limited(self, store: Store, redis_client: redis.Redis, limit: str) -> None:
        process(redis_client, PROCESS, *[item("A")] * 4)
        wait(redis_client, "mail", item("A", age=180), *[item("A")] * 40)
        (finding,) = behind(grown(view(store), mail=3))
        assert finding.is_broken
        if limit == "cap":
            store.policies.limit("mail", cap=4)
            redis_client.hset("resque:inflight", "mail", 4)
            said_of = "at most 4 jobs at once, 4 in flight"
        else:
            store.policies.limit("mail", rate=Rate(1, 3_600_000, 1))
            later = int((clock(redis_client) + 9000) * 1_000_000)
            redis_client.hset("resque:rates", "mail", later)
            said_of = "1/h evenly, the next one in 2.5 h"
        (finding,) = behind(grown(view(store), mail=3))
        assert not finding.is_broken
        assert finding.message == (
            "queue mail grows by 38/s: 41 jobs wait, the oldest for 3 min; "
            f"it is limited: {said_of}"
        )
        assert finding.commands == ("gresque limits",)
        assert finding.details["limits"] == said_of

    def test_one_that_is_limited_and_stands_still(
        self, store: Store, redis_client: redis.Redis
    ) -> None:
        """A limit that is reached explains it; one that is not does not."""
        process(redis_client)
        redis_client.set(f"resque:worker:{WORKER}:started", iso_8601(clock(redis_client) - 300))
        wait(redis_client, "mail", item("A", age=180))
        store.policies.limit("mail", cap=4)
        (finding,) = behind(view(store))
        assert finding.is_broken
        assert "stands still" in finding.message
        redis_client.hset("resque:inflight", "mail", 4)
        (finding,) = behind(view(store))
        assert not finding.is_broken
        assert said(finding) == (
            "queue mail is behind: 1 job waits, the oldest for 3 min; "
            "it is limited: at most 4 jobs at once, 4 in flight"
        )

    @pytest.mark.parametrize(
        ("age", "before", "level"),
        [
            (0, 0, None),  # a burst
            (20, 0, "warning"),
            (20, 3, None),  # it does not grow
            (90, 1, "broken"),
            (90, 3, None),
            (150, 3, "warning"),
            (150, 4, None),  # it becomes shorter
            (700, 4, "warning"),
        ],
    )
    def test_one_that_grows_or_is_late(
        self, store: Store, redis_client: redis.Redis, age: float, before: int, level: str | None
    ) -> None:
        process(redis_client)
        wait(redis_client, "mail", item("A", age=age), item("A"), item("A"))
        found = [*behind(grown(view(store), mail=before))]
        assert [finding.level for finding in found] == ([] if level is None else [level])

    def test_the_sentence(self, store: Store, redis_client: redis.Redis) -> None:
        process(redis_client, PROCESS, *[item("A")] * 4)
        process(redis_client, OTHER, *[item("A")] * 7)
        wait(redis_client, "mail", item("A", age=180), *[item("A")] * 40)
        (finding,) = behind(grown(view(store), mail=3))
        assert finding.message == (
            "queue mail grows by 38/s: 41 jobs wait, the oldest for 3 min; all 8 threads of its 2 "
            "processes are taken"
        )
        assert finding.commands == ("gresque running --queue mail",)

    def test_one_that_stands_still(self, store: Store, redis_client: redis.Redis) -> None:
        """Its worker lives, and no process of it comes up: one that died has left its ledger."""

        def runs_since(age: float) -> None:
            text = iso_8601(clock(redis_client) - age)
            redis_client.set(f"resque:worker:{WORKER}:started", text)

        def findings() -> list[str]:
            return [said(finding) for finding in behind(view(store))]

        wait(redis_client, "mail", item("A", age=90))
        process(redis_client, PROCESS, item("A"), state=None, beat_age=30)
        assert findings() == [], "its start is not known"
        runs_since(20)
        assert findings() == [], "it has just started"
        runs_since(300)
        (finding,) = behind(view(store))
        assert finding.is_broken
        assert finding.message.startswith(
            "queue mail stands still, none of its workers runs a job: 1 job waits, the oldest for "
        )
        assert finding.commands == ("gresque queues show mail",)
        found = view(store)
        busy = replace(found, before=replace(found.before, processed=-1))
        assert len([*behind(busy)]) == 1, "workers of other queues may do jobs"
        process(redis_client, OTHER)
        assert len(findings()) == 1, "it takes none"
        found = view(store)
        busy = replace(found, before=replace(found.before, processed=-1))
        assert list(behind(busy)) == [], "a job was done meanwhile, and it may be of this queue"
        assert list(behind(grown(view(store), mail=2))) == [], "one was taken meanwhile"
        redis_client.sadd("resque:workers", "ruby:1:mail")
        assert findings() == [], "another program may run jobs of it"
        redis_client.srem("resque:workers", "ruby:1:mail")
        process(redis_client, OTHER, item("A"))
        assert findings() == [], "a process holds a job"

    @pytest.mark.parametrize("count", [MANY - 1, MANY])
    def test_jobs_that_do_not_say_since_when_they_wait(
        self, store: Store, redis_client: redis.Redis, count: int
    ) -> None:
        process(redis_client)
        wait(redis_client, "mail", *[b'{"class":"Ruby","args":[]}'] * count)
        assert len([*behind(grown(view(store), mail=5))]) == (count == MANY)
