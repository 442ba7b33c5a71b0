"""Jobs that set signal handlers of their own."""

from __future__ import annotations

import signal
from typing import Any

from gresque.failure.entry import decode_entry
from tests.process.support import Bench, Master, wait_for

SIGNALS = ["SIGTERM", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGCONT"]


def start(bench: Bench, *names: str) -> Master:
    bench.client.enqueue_to("q", "Take", *names)
    master = bench.start("-q", "q", "-t", "10", "-j", "1000", "--term-timeout", "20")
    # Not before the job has ended: a signal that its handler turns into SystemExit would fail it.
    wait_for(lambda: bench.stat("processed") == 1)
    return master


def failed(bench: Bench) -> list[str]:
    return [decode_entry(raw).exception for raw in bench.redis.lrange("resque:failed", 0, -1)]


def blocked_clients(bench: Bench) -> list[Any]:
    """Those of jobs that wait for a list of Redis: none of them has the CPU."""
    return [client for client in bench.redis.client_list() if client["cmd"] == "blpop"]


def test_pauses_kills_and_a_shutdown_work_without_signals(bench: Bench) -> None:
    master = start(bench, *SIGNALS)
    master.signal(signal.SIGUSR2)
    wait_for(lambda: "pause (USR2): the signal did nothing" in master.log)
    bench.client.enqueue_to("q", "CountSlowly", "job", 60)
    master.signal(signal.SIGCONT)
    wait_for(lambda: bench.begun() == 1)
    master.signal(signal.SIGUSR1)
    wait_for(lambda: failed(bench) == ["DirtyExit"])
    bench.client.enqueue_to("q", "CountSlowly", "job", 60)
    wait_for(lambda: bench.begun() == 2)
    assert len(master.children()) == 1
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert "reserved 3 = 1 done + 1 failed + 1 requeued" in master.log
    assert "did not leave in time" not in master.log


def test_a_hup_and_a_quit_work_without_signals(bench: Bench) -> None:
    master = start(bench, *SIGNALS)
    (old,) = master.children()
    master.signal(signal.SIGHUP)
    wait_for(lambda: old not in master.children() and master.children())
    bench.client.enqueue_to("q", "Take", *SIGNALS)
    wait_for(lambda: bench.redis.llen("started") == 2)
    master.signal(signal.SIGQUIT)
    assert master.wait() == 0


def test_a_job_that_puts_the_default_back_leaves_the_signals_to_the_worker(bench: Bench) -> None:
    bench.client.enqueue_to("q", "Borrow", *SIGNALS)
    bench.client.enqueue_to("q", "CountSlowly", "job", 60)
    master = bench.start("-q", "q", "-t", "10", "-j", "1000")
    wait_for(lambda: bench.stat("processed") == 1 and bench.begun() == 1)
    master.signal(signal.SIGUSR2)
    master.signal(signal.SIGCONT)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert "reserved 2 = 1 done + 0 failed + 1 requeued" in master.log
    assert "was killed by" not in master.log
    assert "the signal did nothing" not in master.log


def test_what_a_handler_raises_in_the_loop_ends_no_process(bench: Bench) -> None:
    bench.client.enqueue_to("q", "ExitInGreenlet")
    for n in range(5):
        bench.client.enqueue_to("q", "Until", str(n))
    master = bench.start("-q", "q", "-t", "10", "-j", "1000")
    wait_for(lambda: bench.stat("processed") == 1 and len(blocked_clients(bench)) == 5)
    bench.client.enqueue_to("q", "Alarm", 0.3)
    wait_for(lambda: bench.stat("processed") == 2)
    assert "TooLate while no job had the CPU" in master.log
    for n in range(5):
        bench.redis.rpush(str(n), "end")
    wait_for(lambda: len(bench.runs()) == 7)
    assert bench.stat("failed") == 0
    assert "timeout_seconds" in master.log
    assert "crashed" not in master.log


def test_the_nudge_is_taken_back(bench: Bench) -> None:
    bench.client.enqueue_to("q", "Take", "SIGURG", until_taken_back=True)
    master = bench.start("-q", "q", "-t", "10", "-j", "1000")
    wait_for(lambda: bench.redis.llen("started") == 1)
    bench.client.enqueue_to("q", "Behave", "spin")
    wait_for(lambda: bench.redis.llen("started") == 2)
    master.signal(signal.SIGUSR1)
    wait_for(lambda: failed(bench) == ["DirtyExit"])
    assert "its process is replaced" not in master.log


def test_a_term_ends_a_callback_that_blocks_the_loop(bench: Bench) -> None:
    bench.client.enqueue_to("q", "Start", "callback", "spin")
    master = bench.start("-q", "q", "-t", "10", "-j", "1000")
    wait_for(lambda: bench.redis.llen("started") == 1)
    wait_for(lambda: "a callback of gevent's loop" in master.log)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert "1 requeued" in master.log


def test_usr1_fails_what_blocks_in_c_and_its_neighbours_run_again(bench: Bench) -> None:
    for n in range(3):
        bench.client.enqueue_to("q", "CountSlowly", str(n), 1.0)
    master = bench.start("-q", "q", "-t", "10", "-j", "1000")
    wait_for(lambda: bench.begun() == 3)
    job_id = bench.client.enqueue_to("q", "Behave", "deaf", 60)
    wait_for(lambda: bench.redis.llen("started") == 1)
    master.signal(signal.SIGUSR1)
    (raw,) = wait_for(lambda: bench.redis.lrange("resque:failed", 0, -1))
    assert decode_entry(raw).payload["id"] == job_id
    wait_for(lambda: bench.runs() == {str(n): 1 for n in range(3)})
