"""Processes that are given up wrongly, and machines on which all of them die at once."""

from __future__ import annotations

import json
import signal

import psutil
import pytest

from tests.process.support import Bench, Master, wait_for

ARGUMENTS = ("-q", "q", "-w", "2", "-t", "10", "-j", "100000")


def family(master: Master) -> list[psutil.Process]:
    """The master is the last one."""
    return [*master.all_children(), psutil.Process(master.process.pid)]


def log_of_recoveries(bench: Bench) -> list[dict[str, object]]:
    return [json.loads(entry) for entry in bench.redis.lrange("resque:recoveries", 0, -1)]


@pytest.mark.parametrize("busy", [True, False])
def test_a_frozen_worker_that_comes_back_settles_nothing(bench: Bench, busy: bool) -> None:
    frozen = bench.start(*ARGUMENTS, "--interval", "1")
    for number in range(4):
        bench.client.enqueue_to("q", "CountWhenLet" if busy else "Count", str(number))
    wait_for(lambda: bench.begun() == 4 if busy else bench.stat("processed") == 4)
    wait_for(lambda: len(bench.client.store.processes.ids()) == 2)
    for process in family(frozen)[::-1]:
        process.suspend()
    dead = set(bench.client.store.processes.ids())
    other = bench.start(*ARGUMENTS, "-r", "tests.process.quick_deaths")
    wait_for(lambda: not dead & set(bench.client.store.processes.ids()))
    if busy:
        wait_for(lambda: bench.begun() == 8)  # the other one runs them
        bench.let()
    assert {entry["process"] for entry in log_of_recoveries(bench)} == dead
    before = {process.pid for process in frozen.children()}
    for process in family(frozen):
        process.resume()
    # It starts afresh: other processes under other names, which work.
    wait_for(lambda: not before & {process.pid for process in frozen.children()})
    wait_for(lambda: len(bench.client.store.processes.ids()) == 4)
    wait_for(lambda: bench.stat("processed") == 4 and not bench.held())
    for number in range(100, 200):
        bench.client.enqueue_to("q", "CountSlowly", str(number), 0.05)
    wait_for(lambda: bench.stat("processed") == 104)
    for master in (frozen, other):
        master.signal(signal.SIGQUIT)
        assert master.wait() == 0
    assert frozen.log.count("it starts afresh") == 2, "each process says so once"
    runs = bench.runs()
    assert len(runs) == 104
    assert max(runs.values()) <= 2
    assert sum(runs.values()) <= 108
    assert (bench.stat("processed"), bench.stat("failed")) == (104, 0)
    assert bench.held() == 0


@pytest.mark.parametrize("by_a_bystander", [False, True])
def test_what_dies_with_its_master_is_recovered_by_the_next_one_at_once(
    bench: Bench, by_a_bystander: bool
) -> None:
    """As when a whole container runs out of memory, and is started again."""
    master = bench.start(*ARGUMENTS)
    for number in range(20):
        bench.client.enqueue_to("q", "CountSlowly", str(number), 60.0)
    wait_for(lambda: bench.held() == 20)
    wait_for(lambda: len(bench.client.store.processes.ids()) == 2)
    dead = set(bench.client.store.processes.ids())
    if by_a_bystander:
        bystander = bench.start("-q", "none", "-t", "10", "-j", "100000")
        wait_for(lambda: len(bench.client.store.processes.ids()) == 3)
    for process in family(master)[::-1]:  # else it might see its children die
        process.kill()
    master.process.wait()
    if by_a_bystander:
        # Whoever lives on that machine finds out, by its heartbeat.
        wait_for(lambda: not dead & set(bench.client.store.processes.ids()))
        worker = next(iter(dead)).rsplit(":", 2)[0]
        wait_for(lambda: not bench.redis.sismember("resque:workers", worker))
        bystander.signal(signal.SIGQUIT)
        bystander.wait()
    else:
        bench.start(*ARGUMENTS)
        wait_for(lambda: len(log_of_recoveries(bench)) == 2)
    assert not dead & set(bench.client.store.processes.ids())
    log = log_of_recoveries(bench)
    assert {entry["process"] for entry in log} == dead
    assert {entry["cause"] for entry in log} == {"it and its master are gone"}
    assert sum(int(str(entry["requeued"])) for entry in log) == 20
    worker = next(iter(dead)).rsplit(":", 2)[0]
    wait_for(lambda: not bench.redis.sismember("resque:workers", worker))


def test_processes_that_outlive_their_master_are_left_alone(bench: Bench) -> None:
    master = bench.start(*ARGUMENTS)
    bench.client.enqueue_to("q", "CountSlowly", "kept", 3.0)
    wait_for(lambda: bench.begun() == 1)
    master.process.kill()
    master.process.wait()
    other = bench.start(*ARGUMENTS)
    wait_for(lambda: bench.stat("processed") == 1)
    assert bench.runs() == {"kept": 1}
    assert not log_of_recoveries(bench)
    other.signal(signal.SIGQUIT)
    assert other.wait() == 0
