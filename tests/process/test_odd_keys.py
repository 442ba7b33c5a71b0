"""Other programs write odd things under gresque's keys while workers run: jobs go on."""

from __future__ import annotations

import signal

import pytest

from gresque.inspector.processes import ProcessStatus
from tests.process.support import PATIENCE_SECONDS, Bench, wait_for

SPOILT = ["x", "", "1", "9 9", "fenced", "-1 0 0 0 0 0", "nan 0 0 0 0 0"]


def test_a_live_process_goes_on_whatever_stands_in_its_ledger(bench: Bench) -> None:
    """Each time it is given what it needs anew, without a job being lost or doubled."""
    master = bench.start("-q", "q", "-t", "4", "-j", "1000", "--interval", "1")
    expected = {}
    store = bench.client.store

    def idle() -> str | None:
        """The process, alone: one that has just been replaced may still be listed."""
        processes = ProcessStatus.all(store)
        return processes[0].process if [each.held for each in processes] == [0] else None

    for number, state in enumerate([*SPOILT, None]):
        process = wait_for(idle)
        key = f"resque:ledger:{process}"
        if state is None:
            bench.redis.set(key, "another program's")
        else:
            bench.redis.hset(key, "state", state)
        bench.client.enqueue_to("q", "Count", f"after {number}")
        expected[f"after {number}"] = 1
        wait_for(lambda: bench.runs() == expected)
    wait_for(idle)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0


def test_globs_find_their_queues_once_the_set_of_queues_is_one_again(bench: Bench) -> None:
    bench.redis.set("resque:queues", "x")
    master = bench.start("-q", "*", "-t", "4", "-j", "1000", "--interval", "1")
    wait_for(lambda: "resque:queues is not a set" in master.log)
    bench.redis.delete("resque:queues")
    bench.client.enqueue_to("q", "Count", "found")
    wait_for(lambda: bench.runs() == {"found": 1})
    bench.redis.set("resque:queues", "x")
    bench.redis.rpush("resque:queue:q", b'{"class":"Count","args":["known"]}')
    wait_for(lambda: bench.runs() == {"found": 1, "known": 1})
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    # The maintenance process, if it comes up late, finds out by itself.
    assert master.log.count("until then globs find no new queues") == 1


@pytest.mark.parametrize("kind", ["state", "entry", "type", "record"])
def test_a_killed_process_is_recovered_beside_an_odd_one(bench: Bench, kind: str) -> None:
    odd = "elsewhere:1:q:1:1:1:5:7"
    bench.redis.zadd("resque:ledgers", {odd: 0, b"\xff": 0})
    if kind == "type":
        bench.redis.set(f"resque:ledger:{odd}", "x")
    else:
        bench.redis.hset(f"resque:ledger:{odd}", "state", "x" if kind == "state" else "1 1 0 0 0 0")
        bench.redis.hset(f"resque:ledger:{odd}", "0", "xyz")
    if kind == "record":
        bench.redis.hset("resque:processes", odd, f"x {10**30} 5 {10**30} 5")
    master = bench.start("-q", "q", "-t", "4", "-j", "1000")
    bench.client.enqueue_to("q", "Until", "long")
    store = bench.client.store
    wait_for(lambda: sum(each.held for each in ProcessStatus.all(store)) == 1 + (kind != "type"))
    (child,) = master.children()
    child.kill()
    child.wait(
        PATIENCE_SECONDS
    )  # else the dead one's job, which waits for it, may still be given the end
    bench.redis.rpush("long", "end")
    wait_for(lambda: bench.runs() == {"long": 1})
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
