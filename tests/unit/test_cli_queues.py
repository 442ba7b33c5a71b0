"""`gresque queues`, as a user calls it."""

from __future__ import annotations

import json

import pytest
import redis

from gresque.cli.progress import ProgressLine
from gresque.cli.queues import _how_far
from gresque.errors import RedisUnavailable
from gresque.jobs import payload
from gresque.jobs.ids import new_id
from gresque.store.store import Store
from tests.support.cli import (
    ESCAPE,
    WORKER,
    Call,
    items,
    register,
)


class TestQueues:
    def test_none(self, call: Call) -> None:
        assert call("queues") == (0, "no queues\n", "")
        assert json.loads(call("queues", "--json").out) == []

    def test_sizes(self, call: Call, store: Store) -> None:
        store.enqueuer.push("small", [b"{}"])
        store.enqueuer.push("Big", [b"{}"] * 1_234)
        assert call("queues").out == ("QUEUE   SIZE\nBig    1,234\nsmall      1\ntotal  1,235\n")
        assert json.loads(call("queues", "--json").out) == [
            {"name": "Big", "size": 1_234, "policy": None},
            {"name": "small", "size": 1, "policy": None},
        ]

    def test_policies(self, call: Call, store: Store, redis_client: redis.Redis) -> None:
        for name in ("a", "b", "c"):
            store.enqueuer.push(name, [b"{}"])
        store.policies.pause("a")
        store.policies.limit("b", cap=5)
        redis_client.hset("resque:inflight", "b", 3)
        assert call("queues").out.splitlines() == [
            "QUEUE  SIZE  POLICY",
            "a         1  paused",
            "b         1  at most 5 jobs at once, 3 in flight",
            "c         1  -",
            "total     3  -",
        ]
        store.policies.pause_all()
        assert json.loads(call("queues", "--json").out)[1]["policy"] == (
            "paused as all are, at most 5 jobs at once, 3 in flight"
        )
        assert "\npolicy                  paused as all are\n" in call("queues", "show", "a").out

    def test_odd_data(self, call: Call, redis_client: redis.Redis) -> None:
        redis_client.sadd("resque:queues", b"\xff", ESCAPE, "no list", "queue\u202eabc")
        redis_client.set("resque:queue:no list", "x")
        redis_client.rpush(b"resque:queue:\xff", "x")
        out = call("queues").out
        assert out.replace("\n", "").isprintable()
        assert [line.rsplit(None, 1) for line in out.splitlines()[1:]] == [
            [r"\x1b[2J", "0"], ["no list", "0"], [r"queue\u202eabc", "0"], [r"\xff", "1"],
            ["total", "1"],
        ]  # fmt: skip
        assert len(json.loads(call("queues", "--json").out)) == 4


def push(store: Store, *numbers: int, queue: str = "mail") -> None:
    store.enqueuer.push(
        queue,
        [
            payload.encode("Greet" if number else "First", [number], {"a": 1}, new_id())
            for number in numbers
        ],
    )


class TestShow:
    def test_a_queue(self, call: Call, store: Store, redis_client: redis.Redis) -> None:
        push(store, 0, 1, 2)
        redis_client.rpush("resque:suspects:1:mail", b'{"class":"Greet"}')
        redis_client.sadd("resque:workers", WORKER, "vm:1:other,lo*:1:1:1", "vm:2:!mail,*", "odd")
        found = json.loads(call("queues", "show", "mail", "--json").out)
        assert found == {
            "name": "mail", "size": 4, "policy": None, "suspects": 1, "age_seconds": None,
            "classes": {"Greet": 3, "First": 1}, "workers": [WORKER],
        }  # fmt: skip
        redis_client.delete("resque:suspects:1:mail")
        age = json.loads(call("queues", "show", "mail", "--json").out)["age_seconds"]
        assert 0 <= age < 60
        code, out, err = call("queues", "show", "mail")
        assert (code, err) == (0, "")
        assert [line.split("  ")[0] for line in out.splitlines()] == [
            "waiting", "the next one waits for", "classes", "served by",
        ]  # fmt: skip
        assert "2 × Greet, 1 × First" in out

    def test_a_long_one(self, call: Call, store: Store) -> None:
        push(store, *range(1_001))
        assert (
            "classes of the next 1,000  999 × Greet, 1 × First"
            in call("queues", "show", "mail").out
        )

    def test_one_of_another_type(self, call: Call, redis_client: redis.Redis) -> None:
        """It counts as empty; what stands beside it is shown."""
        redis_client.set("resque:queue:mail", "x")
        assert call("queues", "clear", "mail", "--yes").out == "0 jobs removed\n"
        assert call("queues", "peek", "mail").out == "no jobs wait in mail\n"
        redis_client.rpush("resque:suspects:1:mail", b'{"class":"Greet"}')
        assert call("queues", "show", "mail").out.startswith("waiting                 1\n")
        assert " Greet " in call("queues", "peek", "mail").out

    def test_a_worker_that_is_silent_serves_nothing(
        self, call: Call, redis_client: redis.Redis
    ) -> None:
        register(redis_client)
        redis_client.sadd("resque:workers", "ruby:1:mail")  # it does not beat
        assert json.loads(call("queues", "show", "mail", "--json").out)["workers"] == [
            "ruby:1:mail", WORKER,
        ]  # fmt: skip
        redis_client.hset("resque:workers:heartbeat", WORKER, "2026-11-20T00:00:00Z")
        assert "served by               ruby:1:mail\n" in call("queues", "show", "mail").out

    def test_an_empty_one(self, call: Call) -> None:
        assert call("queues", "show", "mail").out.splitlines() == [
            "waiting                 0", "the next one waits for  -", "classes                 -",
            "served by               no worker",
        ]  # fmt: skip


class TestPeek:
    def test_jobs(self, call: Call, store: Store, redis_client: redis.Redis) -> None:
        push(store, 0, 1, 2)
        redis_client.rpush("resque:queue:mail", "no job")
        found = json.loads(call("queues", "peek", "mail", "--offset", "1", "--json").out)
        assert [job["position"] for job in found] == [1, 2, 3]
        assert (found[0]["class"], found[0]["args"], found[0]["kwargs"]) == ("Greet", [1], {"a": 1})
        assert found[0]["age_seconds"] >= 0
        assert (found[2]["raw"], found[2]["age_seconds"]) == ("no job", None)
        titles, *rows = call("queues", "peek", "mail", "-n", "4").out.splitlines()
        assert titles.split() == ["POSITION", "JOB", "ID", "WAITS", "CLASS", "ARGUMENTS"]
        assert rows[0].endswith('First  [0] {"a": 1}')
        assert rows[3].endswith("no job")

    def test_none(self, call: Call) -> None:
        assert call("queues", "peek", "mail").out == "no jobs wait in mail\n"
        assert call("queues", "peek", "mail", "--offset", "3").out == "no more jobs wait in mail\n"


class TestClearAndMove:
    def test_they_ask_with_the_count(
        self, call: Call, store: Store, redis_client: redis.Redis
    ) -> None:
        push(store, *range(1_500))
        redis_client.rpush("resque:suspects:2:mail", "x")
        answer = call("queues", "clear", "mail", terminal=True, stdin=b"n\n")
        assert "Remove 1,501 jobs of queue mail, for good?" in answer.err
        assert answer.code == 1
        answer = call("queues", "move", "mail", "low", "-n", "3", terminal=True, stdin=b"n\n")
        assert "Move 3 jobs of queue mail to low?" in answer.err
        assert redis_client.llen("resque:queue:mail") == 1_500
        code, _, err = call("queues", "clear", "mail")
        assert (code, "give --yes to skip the confirmation" in err) == (2, True)
        assert redis_client.llen("resque:queue:mail") == 1_500

    def test_redis_goes_away_in_the_middle(self) -> None:
        progress = ProgressLine("moved")
        with pytest.raises(RedisUnavailable) as caught, _how_far(progress):
            progress.advanced(2000, 5000)
            raise RedisUnavailable("no answer")
        assert str(caught.value) == (
            "no answer; 2,000 jobs moved before that, and perhaps 1,000 more"
        )

    def test_move(self, call: Call, store: Store, redis_client: redis.Redis) -> None:
        push(store, *range(1_500))
        assert call("queues", "move", "mail", "low", "-n", "1200", "--yes").out == (
            "1,200 jobs moved\n"
        )
        assert [item["args"][0] for item in items(redis_client, "low")] == list(range(1_200))
        assert call("queues", "move", "mail", "low", "--yes").out == "300 jobs moved\n"
        assert call("queues", "move", "mail", "low", "--yes").out == "0 jobs moved\n"
        assert redis_client.llen("resque:queue:low") == 1_500

    def test_clear(self, call: Call, store: Store, redis_client: redis.Redis) -> None:
        push(store, *range(1_500))
        assert call("queues", "clear", "mail", "--yes").out == "1,500 jobs removed\n"
        assert call("queues", "clear", "mail", "--yes").out == "0 jobs removed\n"
        assert call("queues").out == "no queues\n"

    def test_to_itself(self, call: Call, store: Store) -> None:
        push(store, 1)
        code, _, err = call("queues", "move", "mail", "mail", "--yes")
        assert (code, err) == (
            2,
            "gresque: jobs of queue 'mail' are there already; name another one\n",
        )
