"""Processes whose loop does not turn."""

from __future__ import annotations

import redis

from gresque.inspector.findings.blocked import blocked, frozen, slow_loops
from gresque.store.store import Store
from tests.support.views import OTHER, PROCESS, item, process, said, view


def test_the_job_is_named(store: Store, redis_client: redis.Redis) -> None:
    items = [item("Build", 8812, number=1), item("Other"), item("Other")]
    process(redis_client, PROCESS, *items, runs={"0": 20}, blocks=("0", 14))
    process(redis_client, OTHER, item("Other"), runs={"0": 20})
    (finding,) = blocked(view(store))
    assert finding.is_broken
    assert said(finding).startswith("vm:11 is blocked for N s by Build(8812) at jobs.py:7")
    assert finding.message.endswith("; 2 other jobs stand still")
    assert finding.commands == ("gresque stacks vm:11", "gresque kill 00000000")
    assert finding.details["processes"] == [PROCESS]


def test_several_of_one_class_are_one_finding(store: Store, redis_client: redis.Redis) -> None:
    process(redis_client, PROCESS, item("Build", 1), runs={"0": 20}, blocks=("0", 14))
    process(redis_client, OTHER, item("Build", 2), item("X"), runs={"0": 9}, blocks=("0", 30))
    (finding,) = blocked(view(store))
    assert said(finding).startswith(
        "2 processes are blocked by jobs of Build, for N s by Build(2) in vm:12 at "
    )
    assert finding.message.endswith("; 1 other job stands still")
    assert finding.commands == ("gresque running -n 2", "gresque kill --class Build")


def test_one_that_has_ended_meanwhile(store: Store, redis_client: redis.Redis) -> None:
    process(redis_client, PROCESS, item("Build"), runs={"0": 20}, blocks=("7", 14))
    assert list(blocked(view(store))) == []


def test_slow_loops(store: Store, redis_client: redis.Redis) -> None:
    process(redis_client, PROCESS, lag=0.4)
    assert list(slow_loops(view(store))) == []
    process(redis_client, PROCESS, lag=3.2)
    process(redis_client, OTHER, lag=1.1)
    (finding,) = slow_loops(view(store))
    assert not finding.is_broken
    assert finding.message.startswith(
        "the loop of vm:11 stood still for up to 3.2 s lately, and 1 other loop for over 1 s"
    )
    process(redis_client, PROCESS, item("B"), lag=3.2, runs={"0": 3}, blocks=("0", 3))
    (finding,) = slow_loops(view(store))
    assert "vm:12" in finding.message, "of the other one it is known which job it is"


def test_a_process_that_stands_still_without_a_job_to_blame(
    store: Store, redis_client: redis.Redis
) -> None:
    process(redis_client, PROCESS, item("B"), item("B"), runs={"0": 30}, still=14, lag=3.2)
    (finding,) = frozen(view(store))
    assert finding.is_broken
    assert said(finding) == (
        "vm:11 stands still for N s: stopped by a signal, or it hangs; so do 2 jobs in it"
    )
    assert finding.commands == ("gresque stacks vm:11", "kill -CONT 11")
    assert list(slow_loops(view(store))) == []
    process(redis_client, OTHER, still=60)
    redis_client.hdel(f"resque:ledger:{PROCESS}", "0", "1")
    (finding,) = frozen(view(store))
    assert not finding.is_broken, "nothing waits for it"
    assert said(finding) == (
        "2 processes stand still, vm:12 for N s: stopped by a signal, or it hangs"
    )
