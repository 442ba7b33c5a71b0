"""Processes that are silent, that wait for their last jobs, or that died."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest
import redis

from gresque.clock import iso_8601
from gresque.inspector.findings.processes import (
    dead_others,
    deaths,
    silent,
    suspects,
    waiting_drains,
)
from gresque.store.store import Store
from tests.support.views import OTHER, PROCESS, clock, item, process, said, view


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (1, None),
        (30, "vm:11 has given no sign of life for N s; it holds 1 job; it is given up in "),
        (70, "vm:11 has given no sign of life for N s; it holds 1 job; it is about to be "),
        (200, "vm:11 has given no sign of life for 3 min; it holds 1 job; nothing recovers it: "),
    ],
)
def test_silent(store: Store, redis_client: redis.Redis, age: float, expected: str | None) -> None:
    process(redis_client, PROCESS, item("A"), beat_age=age)
    process(redis_client, OTHER)
    found = [*silent(view(store))]
    assert [finding.is_broken for finding in found] == ([] if expected is None else [True])
    assert expected is None or said(found[0]).startswith(expected)


def test_several_silent_ones(store: Store, redis_client: redis.Redis) -> None:
    process(redis_client, PROCESS, beat_age=30)
    process(redis_client, OTHER, beat_age=40)
    (finding,) = silent(view(store))
    assert said(finding).startswith("2 processes give no sign of life, vm:12 for N s")
    assert not finding.is_broken, "they hold no jobs"
    redis_client.hset(f"resque:ledger:{OTHER}", "state", "fenced 1 0 0 0 0")
    (finding,) = silent(view(store))
    assert finding.message.endswith("; its jobs are being recovered")


def test_workers_of_other_programs_that_ruby_would_prune(
    store: Store, redis_client: redis.Redis
) -> None:
    process(redis_client, PROCESS, beat_age=4000)
    now = int(redis_client.time()[0])
    for worker, age in (("fresh:1:q", 200), ("ny:1:q", 4000)):
        beat = datetime.fromtimestamp(now - age, timezone(timedelta(hours=-5))).isoformat()
        redis_client.sadd("resque:workers", worker)
        redis_client.hset("resque:workers:heartbeat", worker, beat)
    redis_client.sadd("resque:workers", "node:1:q")
    (finding,) = dead_others(view(store))
    assert said(finding) == (
        "worker ny:1:q of another program has given no heartbeat for 67 min; only its own kind "
        "prunes it"
    )
    assert finding.commands == ("gresque workers", "gresque workers prune ny:1:q")
    assert not finding.is_broken


@pytest.mark.parametrize(
    ("state", "age", "expected"),
    [
        ("ready", 100, None),
        ("retiring", 100, None),
        ("draining", 1, None),
        ("draining", 100, "vm:11 leaves, and waits for Slow(1), N s by now"),
        ("paused", 100, "vm:11 is paused and waits for Slow(1), N s by now"),
        (None, 100, None),
    ],
)
def test_waiting_drains(
    store: Store, redis_client: redis.Redis, state: str | None, age: float, expected: str | None
) -> None:
    process(redis_client, PROCESS, item("A"), item("Slow", 1), runs={"1": age}, state=state)
    found = [*waiting_drains(view(store))]
    assert [said(finding) for finding in found] == ([] if expected is None else [expected])
    for finding in found:
        assert finding.commands == ("gresque stacks 00000000", "gresque kill 00000000")


def test_several_waiting_drains(store: Store, redis_client: redis.Redis) -> None:
    for name, age in ((PROCESS, 50), (OTHER, 90)):
        process(redis_client, name, item("Slow"), runs={"0": age}, state="draining")
    (finding,) = waiting_drains(view(store))
    assert said(finding) == "vm:12 leaves, and waits for Slow(), N s by now; so do 1 other process"


def die(client: redis.Redis, age: float, count: int = 1) -> None:
    at = iso_8601(clock(client) - age)
    entry = {"at": at, "process": PROCESS, "cause": "killed by SIGKILL", "by": "vm:1",
             "requeued": 2, "failed": 1, "poison": 0}  # fmt: skip
    client.rpush("resque:recoveries", *[json.dumps(entry)] * count)


def test_deaths(store: Store, redis_client: redis.Redis) -> None:
    die(redis_client, 400, 20)
    assert list(deaths(view(store))) == []
    die(redis_client, 100, 2)
    (finding,) = deaths(view(store))
    assert finding.message == (
        "2 processes died in 5 min, the last one vm:11: killed by SIGKILL; 4 jobs went back to the "
        "queues"
    )
    assert not finding.is_broken
    assert finding.details == {
        "count": 2, "process": PROCESS, "cause": "killed by SIGKILL",
        "requeued": 4, "failed": 2, "poison": 0,
    }  # fmt: skip
    die(redis_client, 1, 13)
    (finding,) = deaths(view(store))
    assert finding.is_broken


def test_suspects(store: Store, redis_client: redis.Redis) -> None:
    assert list(suspects(view(store))) == []
    redis_client.sadd("resque:suspects", "mail", "empty")
    redis_client.rpush("resque:suspects:1:mail", "{}", "{}")
    redis_client.rpush("resque:suspects:2:mail", "{}")
    (finding,) = suspects(view(store))
    assert finding.message == (
        "3 jobs of queue mail wait apart from others: their process died under them, under 1 of "
        "them more than once"
    )
