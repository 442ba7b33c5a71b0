"""Standby processes: where a process lives for few jobs, the next one has come up already."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from gresque.master.restart_backoff import FIRST_BACKOFF_SECONDS
from tests.process.support import PATIENCE_SECONDS, Bench, Master, wait_for

Q = ("-q", "q")


def settled(bench: Bench, master: Master, count: int = 2) -> dict[int, bool]:
    """The children once so many have come up: pid -> whether it works (the others stand by)."""

    def look() -> dict[int, bool] | None:
        pids = {child.pid for child in master.children()}
        ledgers = {int(name.split(":")[-2]) for name in bench.client.store.processes.ids()}
        rings = {
            int(ring.rsplit(b":", 2)[1]) for ring in bench.redis.zrange("resque:listening:q", 0, -1)
        }
        rings &= pids
        up = len(pids) == count and pids == ledgers and len(rings) == count - 1
        return {pid: pid in rings for pid in pids} if up else None

    return wait_for(look)


def worker_of(children: dict[int, bool]) -> int:
    return next(pid for pid, works in children.items() if works)


def standby_of(children: dict[int, bool]) -> int:
    return next(pid for pid, works in children.items() if not works)


def heeds_a_pause(bench: Bench, master: Master) -> None:
    """The job "a" runs; the one after it waits until CONT, whoever would take it."""
    master.signal(signal.SIGUSR2)
    wait_for(lambda: "SIGUSR2" in master.log)
    bench.client.enqueue_to("q", "Count", "b")
    wait_for(lambda: bench.runs() == {"a": 1})
    time.sleep(1.0)  # twice as long as one that loads its modules takes
    assert bench.client.size("q") == 1
    master.signal(signal.SIGCONT)
    wait_for(lambda: bench.runs() == {"a": 1, "b": 1})


def watch(bench: Bench, until: int) -> int:
    """Wait until so many jobs have run; the most that were held at a time."""
    most, deadline = 0, time.monotonic() + PATIENCE_SECONDS
    while sum(bench.runs().values()) < until:
        most = max(most, bench.held())
        assert time.monotonic() < deadline
    return most


def test_one_stands_by_and_is_next(bench: Bench) -> None:
    master = bench.start(*Q)
    first = settled(bench, master)
    bench.client.enqueue_to("q", "Count", "a")
    wait_for(lambda: worker_of(first) not in master.pids())
    assert bench.runs() == {"a": 1}
    second = settled(bench, master)
    assert worker_of(second) == standby_of(first)
    master.signal(signal.SIGQUIT)
    assert master.wait() == 0
    assert "reserved 1 = 1 done" in master.log
    assert bench.client.store.processes.ids() == []


def test_one_job_at_a_time_still(bench: Bench) -> None:
    for n in range(20):
        bench.client.enqueue_to("q", "CountSlowly", str(n), 0.03)
    master = bench.start(*Q)
    assert watch(bench, 20) == 1
    wait_for(lambda: bench.stat("processed") == 20)  # the last one has run, and settles
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert "reserved 20 = 20 done" in master.log


@pytest.mark.parametrize(
    "arguments", [("-t", "2"), ("-j", "11"), ("-t", "5", "-j", "5")], ids=" ".join
)
def test_nobody_stands_by_where_coming_up_is_little(
    bench: Bench, arguments: tuple[str, ...]
) -> None:
    master = bench.start(*Q, *arguments)
    wait_for(lambda: bench.redis.zcard("resque:listening:q") == 1)
    bench.client.enqueue_to("q", "Count", "a")
    wait_for(lambda: bench.runs() == {"a": 1})
    wait_for(lambda: bench.redis.zcard("resque:listening:q") == 1 and len(master.children()) == 1)


def test_no_signal_but_the_call_lets_it_work(bench: Bench) -> None:
    """It would take the second job at once, while the first one runs."""
    master = bench.start(*Q, "--interval", "0.1")
    children = settled(bench, master)
    bench.client.enqueue_to("q", "Behave", "sleep", 60)
    wait_for(lambda: bench.redis.llen("started") == 1)
    bench.client.enqueue_to("q", "Count", "a")
    for number in (signal.SIGCONT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT, signal.SIGTTIN):
        os.kill(standby_of(children), number)
    master.signal(signal.SIGUSR2)
    master.signal(signal.SIGCONT)
    wait_for(lambda: "SIGCONT" in master.log)
    time.sleep(0.5)
    assert bench.runs() == {}
    master.signal(signal.SIGUSR1)
    wait_for(lambda: bench.runs() == {"a": 1})


def test_one_called_while_the_worker_is_paused_waits_for_cont(bench: Bench) -> None:
    master = bench.start(*Q, "--interval", "0.1")
    settled(bench, master)
    bench.client.enqueue_to("q", "CountSlowly", "a", 0.5)
    wait_for(lambda: bench.begun() == 1)
    heeds_a_pause(bench, master)


@pytest.mark.parametrize("which", ["worker", "standby"])
def test_killed_it_is_replaced(bench: Bench, which: str) -> None:
    master = bench.start(*Q)
    children = settled(bench, master)
    bench.client.enqueue_to("q", "CountWhenLet", "a")
    wait_for(lambda: bench.begun() == 1)
    killed = worker_of(children) if which == "worker" else standby_of(children)
    os.kill(killed, signal.SIGKILL)
    bench.let()
    wait_for(lambda: bench.runs() == {"a": 1})
    assert killed not in settled(bench, master)
    assert bench.held() == 0


def test_a_hup_replaces_those_that_stand_by(bench: Bench) -> None:
    master = bench.start(*Q, "-w", "2")
    before = settled(bench, master, 3)
    master.signal(signal.SIGHUP)
    wait_for(lambda: not {child.pid for child in master.children()} & before.keys())
    settled(bench, master, 3)


def test_a_crash_loop_is_held_back_though_one_stands_by(bench: Bench) -> None:
    for _ in range(40):
        bench.client.enqueue_to("q", "Behave", "os_exit", 7)
    master = bench.start(*Q, MAX_RECOVERIES="0")
    wait_for(lambda: master.log.count("is tried in") >= 2)
    first, second, *_ = master.log.split("is tried in")
    assert first.count("exited with 7") >= 10
    assert second.count("exited with 7") <= 2


def test_a_burst_ends_with_nobody_standing_by(bench: Bench) -> None:
    for n in range(7):
        bench.client.enqueue_to("q", "Count", str(n))
    master = bench.run(*Q, "-w", "2", "--burst")
    assert sum(bench.runs().values()) == 7
    assert "reserved 7 = 7 done" in master.log


SLOW = ("-q", "q", "-r", "tests.process.slow_import", "--no-preload", "--interval", "600")


def test_one_called_while_it_still_loads_its_modules_comes(bench: Bench) -> None:
    master = bench.start(*SLOW, IMPORT_SECONDS="0.3")
    for n in range(4):
        bench.client.enqueue_to("q", "Count", str(n))
    wait_for(lambda: sum(bench.runs().values()) == 4)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0


def test_one_called_while_it_still_loads_its_modules_heeds_a_pause(bench: Bench) -> None:
    master = bench.start(*SLOW, IMPORT_SECONDS="0.5")
    bench.client.enqueue_to("q", "CountSlowly", "a", 0.1)
    wait_for(lambda: bench.begun() == 1)
    wait_for(lambda: len(master.children()) == 2)
    heeds_a_pause(bench, master)


def test_one_that_cannot_come_up_holds_nobody_up(bench: Bench, tmp_path: Path) -> None:
    """Its hook wants what the one at work has."""
    for n in range(10):
        bench.client.enqueue_to("q", "CountSlowly", str(n), 0.1)
    started = time.monotonic()
    bench.start("-q", "q", "-r", "tests.process.one_lock", ONE_LOCK=str(tmp_path / "lock"))
    wait_for(lambda: sum(bench.runs().values()) == 10)
    assert time.monotonic() - started < 9 * FIRST_BACKOFF_SECONDS


def test_the_dead_ones_job_is_back_before_another_is_taken(bench: Bench) -> None:
    master = bench.start(*Q)
    children = settled(bench, master)
    bench.client.enqueue_to("q", "Behave", "sleep", 60)
    wait_for(lambda: bench.redis.llen("started") == 1)
    bench.client.enqueue_to("q", "Behave", "ok")
    os.kill(worker_of(children), signal.SIGKILL)
    wait_for(lambda: bench.redis.llen("started") == 2)
    assert bench.redis.lrange("started", 0, -1) == [b"sleep", b"sleep"]


def test_a_standby_told_to_leave_is_not_called(bench: Bench) -> None:
    master = bench.start(*Q)
    children = settled(bench, master)
    os.kill(standby_of(children), signal.SIGQUIT)
    wait_for(lambda: standby_of(children) not in {child.pid for child in master.children()})
    assert worker_of(settled(bench, master)) == worker_of(children)
    bench.client.enqueue_to("q", "Count", "a")
    wait_for(lambda: bench.runs() == {"a": 1})
