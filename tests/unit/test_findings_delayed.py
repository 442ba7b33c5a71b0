"""Jobs whose time has come and that still wait for it."""

from __future__ import annotations

import time

import redis

from gresque.inspector.findings.delayed import overdue
from gresque.store.store import Store
from tests.support.views import said, view

LOCK = "resque:resque:resque_scheduler_master_lock"


def test_what_is_on_time_is_no_trouble(store: Store, redis_client: redis.Redis) -> None:
    now = time.time()
    redis_client.zadd("resque:later", {"a": (now - 1) * 1000, "b": (now + 99) * 1000})
    redis_client.zadd("resque:delayed_queue_schedule", {"5": now - 1})
    assert list(overdue(view(store))) == []


def test_no_maintenance_process(store: Store, redis_client: redis.Redis) -> None:
    now = time.time()
    redis_client.zadd("resque:later", {"a": (now - 200) * 1000, "b": (now - 99) * 1000, "c": 1e15})
    (finding,) = overdue(view(store))
    assert finding.is_broken
    assert finding.message == (
        "2 delayed jobs should have run, the first 3 min ago: no maintenance process runs"
    )
    assert finding.commands == ("gresque work -q '*'",)
    assert finding.details["jobs"] == 2
    redis_client.set("resque:maintenance", "vm:1:q:1:1:1 then")
    (finding,) = overdue(view(store))
    assert finding.message.endswith("cannot move them, and its log says why")


def test_another_scheduler_that_moves_nothing(store: Store, redis_client: redis.Redis) -> None:
    redis_client.zadd("resque:delayed_queue_schedule", {"5": time.time() - 700})
    (finding,) = overdue(view(store))
    assert said(finding) == (
        "delayed jobs of other programs, of 1 second, should have run, the first 12 min ago: "
        "no maintenance process runs"
    )
    redis_client.set(LOCK, "gresque host:5")
    assert "lock" not in next(iter(overdue(view(store)))).details
    redis_client.set(LOCK, "ruby.example:7")
    (finding,) = overdue(view(store))
    assert f"the scheduler ruby.example:7 holds {LOCK} and does not move them" in finding.message
    assert finding.details["holder"] == "ruby.example:7"
