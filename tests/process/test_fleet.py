"""The children of a master beside its worker processes, over signals, deaths and crash loops."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.process.support import Bench, Master, role_of, wait_for

ARGUMENTS = ("-q", "q", "-w", "2", "-t", "5", "-j", "1000")


def one_of(master: Master) -> psutil.Process:
    """The maintenance process, once it runs."""
    (process,) = wait_for(master.maintenance)
    return process


def signal_all(master: Master, number: signal.Signals) -> None:
    """As a terminal or a service manager does, which knows a group of processes only."""
    for process in (*master.all_children(), master.process):
        process.send_signal(number)


def test_it_is_replaced_when_killed_and_its_siblings_work_on(bench: Bench) -> None:
    master = bench.start(*ARGUMENTS)
    first, workers = one_of(master), master.pids()
    assert len(workers) == 2
    first.kill()
    second = wait_for(lambda: [p for p in master.maintenance() if p != first])[0]
    assert master.pids() == workers
    bench.client.enqueue_to("q", "Count", "a")
    wait_for(lambda: bench.stat("processed") == 1)
    assert master.maintenance() == [second]
    assert f"maintenance process {first.pid} was killed by SIGKILL" in master.log
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert "reserved 1 = 1 done" in master.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_it_outlives_the_last_job_though_the_signal_goes_to_all(
    bench: Bench, number: signal.Signals
) -> None:
    bench.client.enqueue_to("q", "Behave", "swallow", 1)
    master = bench.start(*ARGUMENTS)
    maintenance = one_of(master)
    wait_for(lambda: bench.redis.llen("started") == 1)
    signal_all(master, number)
    while master.process.poll() is None:
        lives = role_of(maintenance) != "gone"
        with suppress(psutil.NoSuchProcess):
            assert lives or not master.children()
        time.sleep(0.01)
    assert master.wait() == 0
    assert not maintenance.is_running()
    assert "SIGKILL" not in master.log
    assert bench.redis.keys("resque:maintenance*") == []


def test_it_lives_through_a_crash_loop_of_the_workers(bench: Bench) -> None:
    master = bench.start("-q", "q", MAX_RECOVERIES="0")
    maintenance = one_of(master)
    for _ in range(40):
        bench.client.enqueue_to("q", "Behave", "os_exit", 7)
    wait_for(lambda: "the next worker process is tried in" in master.log)
    assert master.maintenance() == [maintenance]


def test_other_signals_to_the_master_do_not_concern_it(bench: Bench) -> None:
    master = bench.start(*ARGUMENTS)
    maintenance = one_of(master)
    # The CONT comes last: the kernel drops one that still waits when a TTIN comes after it.
    for number in (signal.SIGUSR1, signal.SIGTTIN, signal.SIGUSR2, signal.SIGCONT):
        signal_all(master, number)
        wait_for(lambda number=number: f"{number.name}: " in master.log)
    bench.client.enqueue_to("q", "Count", "a")
    wait_for(bench.runs)
    assert master.maintenance() == [maintenance]


def leave_suspect(bench: Bench) -> None:
    """As a recovery by another master leaves it, which has ended since."""
    bench.client.enqueue_to("q", "Count", "suspect")
    bench.redis.lmove("resque:queue:q", "resque:suspects:1:q")
    bench.redis.sadd("resque:suspects", "q")


def test_the_master_learns_from_it_of_suspects_that_another_one_left(bench: Bench) -> None:
    master = bench.start(*ARGUMENTS)
    one_of(master)
    leave_suspect(bench)
    wait_for(lambda: bench.runs() == {"suspect": 1})
    wait_for(lambda: not bench.redis.exists("resque:suspects"))
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert "reserved 1 = 1 done" in master.log


@pytest.mark.parametrize("threads", ["1", "5"])
def test_no_suspect_is_stuck_when_the_last_worker_leaves(bench: Bench, threads: str) -> None:
    master = bench.start("-q", "q", "-t", threads)
    wait_for(lambda: bench.redis.zcard("resque:listening:q") == 1)
    master.signal(signal.SIGUSR2)
    wait_for(lambda: bench.redis.zcard("resque:listening:q") == 0)  # it has paused
    leave_suspect(bench)
    master.signal(signal.SIGQUIT)
    assert master.wait() == 0
    assert bench.runs() == {}
    assert bench.redis.llen("resque:queue:q") == 1
    assert not bench.redis.keys("resque:suspects*")


def test_a_frozen_one_delays_neither_jobs_nor_the_end(bench: Bench) -> None:
    master = bench.start(*ARGUMENTS)
    maintenance = one_of(master)
    maintenance.suspend()
    for n in range(20):
        bench.client.enqueue_to("q", "Count", str(n))
    wait_for(lambda: bench.stat("processed") == 20)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert f"maintenance process {maintenance.pid} did not leave in time" in master.log
    assert not maintenance.is_running()


def test_a_burst_has_none(bench: Bench) -> None:
    bench.client.enqueue_to("q", "Until", "end")
    master = bench.start(*ARGUMENTS, "--burst")
    wait_for(lambda: bench.held() == 1)
    wait_for(lambda: len(master.children()) == 1)  # the other one found nothing and has left
    assert master.maintenance() == []
    bench.redis.rpush("end", 1)
    assert master.wait() == 0


def test_it_costs_a_worker_nothing_while_the_first_processes_boot(
    bench: Bench, tmp_path: Path
) -> None:
    slow = ("-r", "tests.process.slow_import", "--no-preload")
    master = bench.start("-q", "q", *slow, IMPORT_UNTIL=str(tmp_path / "go"))
    wait_for(master.children)
    assert master.maintenance() == []
    assert bench.redis.zcard("resque:ledgers") == 0
    (tmp_path / "go").touch()
    one_of(master)
    assert bench.redis.zcard("resque:ledgers") >= 1
