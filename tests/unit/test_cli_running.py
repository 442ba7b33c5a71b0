"""`gresque running`, as a user calls it."""

from __future__ import annotations

import json

import redis

from gresque.inspector.running import RunningJob
from gresque.store.commands import Blocking, Running
from gresque.store.store import Store
from tests.support.cli import (
    PROCESS,
    Call,
    odd_workers,
    register,
)


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
        assert lines[1].split()[2:5] == ["3.0", "s", PROCESS]
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
