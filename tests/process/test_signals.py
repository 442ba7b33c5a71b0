"""The signals that do not end a worker (those that do are in test_work.py)."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest

from gresque.failure.entry import decode_entry
from tests.process.support import Bench, Master, wait_for


def test_usr1_kills_the_running_jobs_and_new_ones_run(bench: Bench) -> None:
    for _ in range(10):
        bench.client.enqueue_to("q", "Behave", "sleep", 60)
    master = bench.start("-q", "q", "-t", "10", "-j", "1000")
    wait_for(lambda: bench.redis.llen("started") == 10)
    before = master.pids()
    master.signal(signal.SIGUSR1)
    wait_for(lambda: bench.redis.llen("resque:failed") == 10)
    entries = map(decode_entry, bench.redis.lrange("resque:failed", 0, -1))
    assert {entry.exception for entry in entries} == {"DirtyExit"}
    bench.client.enqueue_to("q", "Count", "after")
    wait_for(lambda: bench.runs() == {"after": 1})
    assert master.pids() == before


LONG = {
    "sleep": [60],
    "spin": [],
    "swallow": [60],
    "socket": [],
    "redis": [],
    "finally": [],
}


@pytest.mark.parametrize("how", LONG)
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_every_job_dies_within_two_seconds(bench: Bench, how: str, number: signal.Signals) -> None:
    for _ in range(9):
        bench.client.enqueue_to("q", "Behave", "sleep", 60)
    master = bench.start("-q", "q", "-t", "20", "-j", "1000")
    # The one that spins comes last: the others could not even say that they started.
    wait_for(lambda: bench.redis.llen("started") == 9)
    bench.client.enqueue_to("q", "Behave", how, *LONG[how])
    wait_for(lambda: bench.redis.llen("started") == 10)
    master.signal(number)
    if number == signal.SIGUSR1:
        wait_for(lambda: bench.redis.llen("resque:failed") == 10)
        bench.client.enqueue_to("q", "Count", "after")
        wait_for(lambda: bench.runs() == {"after": 1})
    else:
        assert master.wait() == 0
        assert bench.client.size("q") == 10
        assert "10 requeued" in master.log
    assert "SIGKILL" not in master.log


@pytest.mark.parametrize("spinning", [False, True])
def test_an_immortal_job_fails_with_its_process(bench: Bench, spinning: bool) -> None:
    bench.client.enqueue_to("q", "Behave", "immortal", spinning)
    master = bench.start("-q", "q", "-t", "20", "-j", "1000")
    wait_for(lambda: bench.redis.llen("started") == 1)
    master.signal(signal.SIGUSR1)
    wait_for(lambda: bench.redis.llen("resque:failed") == 1)
    entry = decode_entry(bench.redis.lindex("resque:failed", 0))
    assert (entry.exception, entry.payload["args"][0]) == ("DirtyExit", "immortal")
    assert "its process is replaced" in master.log  # told before the process died of it


def test_a_job_over_its_time_fails_wherever_it_is(bench: Bench) -> None:
    for n in range(5):
        bench.client.enqueue_to("q", "CountSlowly", str(n), 1.5)
    for how in ("sleep", "swallow"):
        bench.client.enqueue_to("q", "Timed", how, 60)
    bench.client.enqueue_to("q", "Timed", "socket")
    bench.client.enqueue_to("q", "InTime")
    master = bench.start("-q", "q", "-t", "20", "-j", "1000")
    wait_for(lambda: bench.redis.llen("resque:failed") == 3)
    bench.client.enqueue_to("q", "Timed", "spin")
    wait_for(lambda: bench.redis.llen("resque:failed") == 4)
    entries = bench.failed()
    assert {entry.exception for entry in entries} == {"JobTimeout"}
    assert {entry.error for entry in entries} == {"it ran for over 0.4 s"}
    wait_for(lambda: bench.runs() == {str(n): 1 for n in range(5)})
    wait_for(lambda: bench.stat("processed") == 10)
    master.signal(signal.SIGQUIT)
    assert master.wait() == 0


def test_ttin_prints_where_the_jobs_stand_also_while_one_spins(bench: Bench) -> None:
    bench.client.enqueue_to("q", "CountSlowly", "x", 60)
    master = bench.start("-q", "q", "-t", "5", "-j", "1000")
    wait_for(lambda: bench.begun() == 1)
    master.signal(signal.SIGTTIN)
    wait_for(lambda: "CountSlowly('x', 60)" in master.log)
    wait_for(lambda: "jobs.py:" in master.log and ":in `count_slowly'" in master.log)
    bench.client.enqueue_to("q", "Behave", "spin")
    wait_for(lambda: bench.redis.llen("started") == 1)
    master.signal(signal.SIGTTIN)
    wait_for(lambda: "Behave('spin')" in master.log and ":in `_spin'" in master.log)


def test_a_job_that_blocks_the_others_is_named_once(bench: Bench) -> None:
    bench.client.enqueue_to("q", "Behave", "spin")
    master = bench.start("-q", "q", "-t", "5", "-j", "1000", "--hub-blocked-seconds", "0.3")
    wait_for(lambda: ":in `_spin'" in master.log)
    assert "because of Behave('spin')" in master.log
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert master.log.count("because of Behave") == 1


def test_quit_is_heard_while_a_job_spins(bench: Bench) -> None:
    bench.client.enqueue_to("q", "Behave", "spin")
    master = bench.start("-q", "q", "-t", "2", "-j", "1000")
    wait_for(lambda: bench.redis.llen("started") == 1)
    master.signal(signal.SIGQUIT)
    bench.client.enqueue_to("q", "Count", "not taken")
    wait_for(lambda: "QUIT" in master.log)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert bench.client.size("q") == 2


def pause(bench: Bench, master: Master, processes: int) -> None:
    """Every process waited for a push, and does no more."""
    wait_for(lambda: bench.redis.zcard("resque:listening:q") == processes)
    master.signal(signal.SIGUSR2)
    wait_for(lambda: bench.redis.zcard("resque:listening:q") == 0)
    wait_for(lambda: "paused" in master.log)


def test_usr2_pauses_and_cont_goes_on(bench: Bench) -> None:
    bench.client.enqueue_to("q", "CountSlowly", "running", 0.3)
    master = bench.start("-q", "q", "-w", "2", "-t", "3", "-j", "1000", "--interval", "10")
    wait_for(lambda: bench.begun() == 1)
    pause(bench, master, 2)
    bench.client.enqueue_to("q", "Count", "later")
    wait_for(lambda: bench.runs() == {"running": 1})
    assert bench.client.size("q") == 1
    master.signal(signal.SIGCONT)
    wait_for(lambda: bench.runs().get("later"))


def test_a_paused_worker_replaces_a_dead_process_with_a_paused_one(bench: Bench) -> None:
    master = bench.start("-q", "q", "-t", "3", "-j", "1000")
    pause(bench, master, 1)
    first = master.pids()
    (dead,) = bench.client.store.processes.ids()
    bench.client.enqueue_to("q", "Count", "later")
    psutil.Process(first.copy().pop()).kill()
    wait_for(lambda: len(left := bench.client.store.processes.ids()) == 1 and dead not in left)
    assert master.pids() - first
    assert bench.client.size("q") == 1
    master.signal(signal.SIGUSR1)  # ends a pause too
    wait_for(lambda: bench.runs() == {"later": 1})


def test_usr1_during_the_boot_is_not_for_the_first_job(bench: Bench) -> None:
    bench.client.enqueue_to("q", "Count", "later")
    bench.run("-q", "q", "-t", "5", "--burst", "-r", "tests.process.told_while_booting")
    assert bench.runs() == {"later": 1}
    assert bench.stat("failed") == 0


def test_hup_replaces_every_process_while_jobs_go_on(bench: Bench) -> None:
    master = bench.start("-q", "q", "-w", "3", "-t", "5", "-j", "100000")
    wait_for(lambda: bench.redis.zcard("resque:ledgers") == 3)
    first = master.pids()
    for n in range(60):
        bench.client.enqueue_to("q", "CountSlowly", str(n), 0.1)
    master.signal(signal.SIGHUP)
    wait_for(lambda: len(master.pids()) == 3 and not master.pids() & first)
    wait_for(lambda: len(bench.runs()) == 60)
    master.signal(signal.SIGQUIT)
    assert master.wait() == 0
    assert set(bench.runs().values()) == {1}
    # What a leaving process had reserved and not started is given back, and counts as requeued.
    assert "60 done + 0 failed" in master.log


def test_a_quit_to_one_process_replaces_that_one(bench: Bench) -> None:
    master = bench.start("-q", "q", "-w", "2", "-t", "5", "-j", "1000")
    wait_for(lambda: bench.redis.zcard("resque:ledgers") == 2)
    one, other = master.pids()
    psutil.Process(one).send_signal(signal.SIGQUIT)
    wait_for(lambda: one not in master.pids() and len(master.pids()) == 2)
    assert other in master.pids()


def test_signals_from_boot_on_and_in_bursts_leave_nothing_behind(bench: Bench) -> None:
    for n in range(50):
        bench.client.enqueue_to("q", "CountSlowly", str(n), 0.05)
    mixed = [signal.SIGUSR2, signal.SIGCONT, signal.SIGHUP, signal.SIGUSR2, signal.SIGCONT] * 10
    master = bench.start("-q", "q", "-w", "2", "-t", "5", "-j", "7")
    wait_for(lambda: "started" in master.log)
    for number in mixed:
        master.signal(number)

    def done() -> bool:
        # The kernel keeps no order among signals sent at once: a pause may have come last.
        master.signal(signal.SIGCONT)
        return len(bench.runs()) == 50

    wait_for(done)
    family = master.children()
    for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGTERM, signal.SIGINT):
        master.signal(number)
    assert master.wait() == 0
    assert not any(child.is_running() for child in family)
    assert set(bench.runs().values()) == {1}
    assert bench.held() == 0
    assert bench.redis.zcard("resque:ledgers") == 0


def imports(*processes: psutil.Process) -> bool:
    """Whether they wait in their import. A signal that comes just before a process begins to wait
    in gevent's loop is heard when that wait ends."""
    return all(process.status() == psutil.STATUS_SLEEPING for process in processes)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_a_signal_during_a_long_import_ends_the_master_at_once(
    bench: Bench, number: signal.Signals
) -> None:
    master = bench.start("-q", "q", "-r", "tests.process.slow_import")
    wait_for(lambda: "importing" in master.log)
    wait_for(lambda: imports(psutil.Process(master.process.pid)))
    master.signal(signal.SIGUSR1)  # would have killed it
    master.signal(number)
    assert master.wait() == 0
    assert "ended by a signal before it had started" in master.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_while_a_process_imports_ends_it_at_once(
    bench: Bench, number: signal.Signals
) -> None:
    master = bench.start("-q", "q", "-w", "2", "-r", "tests.process.slow_import", "--no-preload")
    wait_for(lambda: master.log.count("importing") == 2)
    wait_for(lambda: imports(*master.children()))
    master.signal(signal.SIGUSR1)  # would have killed it
    master.signal(number)
    assert master.wait() == 0
    assert "at its start" not in master.log
    assert "stopped: reserved 0" in master.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_process_that_is_ended_while_it_imports_is_replaced(
    bench: Bench, tmp_path: Path, number: signal.Signals
) -> None:
    bench.client.enqueue_to("q", "Count", "x")
    slow = ("-r", "tests.process.slow_import", "--no-preload")
    master = bench.start("-q", "q", *slow, IMPORT_UNTIL=str(tmp_path / "go"))
    wait_for(lambda: "importing" in master.log)
    (child,) = master.children()
    child.send_signal(number)
    wait_for(lambda: not child.is_running())
    (tmp_path / "go").touch()
    wait_for(lambda: bench.runs() == {"x": 1})
    master.signal(signal.SIGTERM)
    assert master.wait() == 0


def test_signals_that_are_for_later_wait_for_the_end_of_an_import(
    bench: Bench, tmp_path: Path
) -> None:
    bench.client.enqueue_to("q", "Count", "x")
    slow = ("-r", "tests.process.slow_import", "--no-preload")
    master = bench.start("-q", "q", *slow, IMPORT_UNTIL=str(tmp_path / "go"))
    wait_for(lambda: "importing" in master.log)
    (child,) = master.children()
    for later in (signal.SIGUSR1, signal.SIGTTIN, signal.SIGUSR2):
        child.send_signal(later)
    (tmp_path / "go").touch()
    # The greenlet that handles the signal is not listed.
    wait_for(lambda: "where the jobs stand:\n    no jobs are running" in master.log)
    assert bench.runs() == {}
    child.send_signal(signal.SIGCONT)
    wait_for(lambda: bench.runs() == {"x": 1})
    assert child.is_running()


def test_a_pause_during_the_boot_is_not_lost(bench: Bench, tmp_path: Path) -> None:
    bench.client.enqueue_to("q", "Count", "later")
    go = tmp_path / "go"
    master = bench.start("-q", "q", "-r", "tests.process.slow_import", IMPORT_UNTIL=str(go))
    wait_for(lambda: "importing" in master.log)
    master.signal(signal.SIGUSR2)
    go.touch()
    wait_for(lambda: "paused: no new jobs" in master.log)
    master.signal(signal.SIGCONT)
    wait_for(lambda: bench.runs() == {"later": 1})
