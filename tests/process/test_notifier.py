"""Many idle processes on one Redis, and few of them woken."""

from __future__ import annotations

import signal

from gresque.worker.turns.notifier import LISTENING
from tests.process.support import Bench, Master, wait_for

QUEUE_LIST = "q"
PROCESSES = 9


INTERVAL = ("--interval", "10")  # with a longer one none waits, and all listen
SOONER = 9.0
"""Seconds in which no fallback poll helps a test along."""


def idle(bench: Bench) -> Master:
    """A master whose processes all wait."""
    tiers = ("-w", str(PROCESSES), "-t", "5", "-j", "1000", *INTERVAL)
    master = bench.start("-q", QUEUE_LIST, *tiers)
    wait_for(lambda: standing(bench) == (LISTENING, PROCESSES - LISTENING))
    return master


def standing(bench: Bench) -> tuple[int, int]:
    keys = bench.client.store.keys
    return (
        int(bench.redis.zcard(keys.listening(QUEUE_LIST))),
        int(bench.redis.zcard(keys.waiting(QUEUE_LIST))),
    )


def test_every_job_is_picked_up_and_the_places_are_filled_again(bench: Bench) -> None:
    master = idle(bench)
    for n in range(30):
        bench.client.enqueue_to("q", "Count", str(n))
        wait_for(lambda n=n: bench.stat("processed") == n + 1, SOONER)
    wait_for(lambda: standing(bench) == (LISTENING, PROCESSES - LISTENING), SOONER)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert bench.redis.keys("resque:listening:*") + bench.redis.keys("resque:waiting:*") == []


def test_more_work_than_the_armed_can_take_wakes_all(bench: Bench) -> None:
    idle(bench)
    bench.client.enqueue_many("Behave", [("sleep", 60)] * (5 * PROCESSES), queue="q")
    wait_for(lambda: bench.held() == 5 * PROCESSES, SOONER)


def test_paused_processes_leave_the_bell_to_others(bench: Bench) -> None:
    master = idle(bench)
    other = bench.start("-q", QUEUE_LIST, "-w", "1", "-t", "5", "-j", "1000", *INTERVAL)
    wait_for(lambda: standing(bench) == (LISTENING, PROCESSES + 1 - LISTENING))
    master.signal(signal.SIGUSR2)
    wait_for(lambda: standing(bench) == (1, 0), SOONER)
    bench.client.enqueue_to("q", "Count", "one")
    wait_for(lambda: bench.stat("processed") == 1, SOONER)
    other.signal(signal.SIGTERM)
    assert other.wait() == 0
