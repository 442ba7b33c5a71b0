"""`gresque running`, as a user calls it."""

from __future__ import annotations

import json

import pytest
import redis

from gresque.inspector.running import RunningJob
from gresque.store.commands import Blocking, Running
from gresque.store.store import Store
from tests.support import views
from tests.support.cli import (
    PROCESS,
    Call,
    odd_workers,
    register,
)
from tests.support.views import PROCESS as VIEWED
from tests.support.views import process


class TestRunning:
    def test_none(self, call: Call) -> None:
        assert call("running") == (0, "no jobs are running\n", "")
        assert json.loads(call("running", "--json").out) == []

    def test_what_blocks_and_then_the_oldest_first(
        self, call: Call, store: Store, redis_client: redis.Redis
    ) -> None:
        register(redis_client, held=3)
        now = store.now()
        blocking = Blocking("1", now - 3, ["jobs.py:7:in `spin'"])
        running = Running({"2": now - 90, "1": now - 5}, blocking)
        redis_client.set(f"resque:running:{PROCESS}", running.encode())
        jobs = RunningJob.all(store)
        assert [job.slot for job in jobs] == ["1", "2", "0"]
        assert [job.queue for job in jobs] == ["mail"] * 3
        assert jobs[1].seconds is not None and 90 <= jobs[1].seconds < 120
        assert (jobs[2].since, jobs[2].seconds) == (None, None)
        lines = call("running").out.splitlines()
        assert lines[2].split()[2:] == [
            "-",
            PROCESS,
            "2",
            "mail",
            "Greet",
            "id2",
            "[2]",
            '{"a":',
            "1}",
        ]
        blocked, *where = lines[1].split()[2:5]
        assert 3 <= float(blocked) < 30
        assert where == ["s", PROCESS]
        assert lines[3].split()[:3] == ["-", "-", PROCESS]
        found = json.loads(call("running", "--json").out)
        assert [row["args"] for row in found] == [[1], [2], [0]]
        page = json.loads(call("running", "-n", "2", "--json").out)
        assert [row["id"] for row in page] == ["id1", "id2"]  # the one that blocks is first
        assert found[0]["class"] == "Greet"
        assert 3 <= found[0]["blocks_seconds"] < 30
        assert found[0]["stack"] == ["jobs.py:7:in `spin'"]
        assert (found[1]["blocks_seconds"], found[1]["stack"]) == (None, None)

    def test_odd_data(self, call: Call, redis_client: redis.Redis) -> None:
        odd_workers(redis_client)
        out = call("running").out
        assert r"\xff\x1b[2J" in out
        assert "\x1b" not in out
        assert len(json.loads(call("running", "--json").out)) == 3


class TestSome:
    @pytest.fixture(autouse=True)
    def _running(self, redis_client: redis.Redis) -> None:
        process(
            redis_client, VIEWED, views.item("A"), views.item("B"), views.item("A"),
            runs={"0": 7200, "1": 7200}, blocks=("1", 9),
        )  # fmt: skip

    def test_flags(self, call: Call) -> None:
        found = json.loads(call("running", "--class", "A", "--json").out)
        assert [row["slot"] for row in found] == ["0", "2"]
        for age in ("1h", "90m", "90 min", "3600", "5400.5s"):
            found = json.loads(call("running", "--longer-than", age, "--json").out)
            assert [row["slot"] for row in found] == ["1", "0"]
        assert call("running", "-n", "1", "--longer-than", "1h").out.count("vm:10") == 1
        assert call("running", "--queue", "x") == (0, "no such jobs are running\n", "")

    @pytest.mark.parametrize("age", ["", "x", "-1", "1w", "1e3"])
    def test_no_age(self, call: Call, age: str) -> None:
        answer = call("running", "--longer-than", age)
        assert (answer.code, "is not an age" in answer.err) == (2, True)

    def test_an_empty_flag(self, call: Call) -> None:
        assert "--class is empty" in call("running", "--class", "").err

    def test_groups(self, call: Call) -> None:
        titles, first, second = call("running", "groups").out.splitlines()
        assert titles.split() == ["COUNT", "OLDEST", "MEDIAN", "BLOCKING", "QUEUE", "CLASS"]
        assert first.split() == ["2", "2.0", "h", "60", "min", "-", "mail", "A"]
        assert second.split()[-3:] == ["1", "mail", "B"]
        assert json.loads(call("running", "groups", "--json").out)[1]["blocking"] == 1
        assert call("running", "groups", "--class", "x").out == "no such jobs are running\n"
