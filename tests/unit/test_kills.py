"""How kills reach jobs, on gevent without its patches."""

from __future__ import annotations

import random
from typing import Any

import gevent
import pytest
from gevent import get_hub

from gresque.errors import JobKilled
from tests.support.pool_bench import (
    PATIENCE_SECONDS,
    OpenBench,
    a_job,
    fails_with,
    wait_long,
)


@pytest.mark.parametrize("running", [1, 5, 100])
def test_kill_jobs_ends_every_job_that_runs(open_bench: OpenBench, running: int) -> None:
    bench = open_bench(running)
    bench.add("wait", wait_long)
    bench.put(*(a_job(number, "wait") for number in range(running)))
    bench.until(lambda: sum(thread.job is not None for thread in bench.pool.threads) == running)
    bench.pool.kill_jobs("an operator")
    bench.until(lambda: len(bench.in_flight.ended) == running)
    assert bench.counts == (0, running, 0)
    assert {entry["exception"] for entry in bench.entries} == {"DirtyExit"}
    assert {entry["error"] for entry in bench.entries} == {"Job was killed: an operator"}
    bench.run(*(a_job(running + number) for number in range(running)))
    assert bench.counts == (running, running, 0)


def test_kill_jobs_spares_what_does_not_run(open_bench: OpenBench) -> None:
    bench = open_bench(1)
    bench.add("wait", wait_long)
    bench.put(a_job(0, "wait"), a_job(1), a_job(2))
    bench.until(lambda: len(bench.in_flight.ready) == 2)
    bench.pool.kill_jobs("an operator")
    bench.until(lambda: len(bench.in_flight.ended) == 3)
    assert bench.in_flight.ended == [b"0", b"1", b"2"]
    assert bench.counts == (2, 1, 0)


def test_where_no_job_runs_none_is_killed(open_bench: OpenBench) -> None:
    bench = open_bench(3)
    bench.pool.kill_jobs("an operator")
    bench.run(a_job(0), a_job(1))
    bench.pool.kill_jobs("an operator")
    gevent.sleep(0.01)
    bench.run(a_job(2))
    assert bench.counts == (3, 0, 0)


@pytest.mark.parametrize(
    ("worker_wish", "job_wish", "counts"),
    [
        ("requeue", None, (0, 0, 1)),
        ("fail", None, (0, 1, 0)),
        ("requeue", "fail", (0, 1, 0)),
        ("fail", "requeue", (0, 0, 1)),
    ],
)
def test_a_shutdown_sends_jobs_where_they_want_to_go(
    open_bench: OpenBench, worker_wish: str, job_wish: Any, counts: Any
) -> None:
    bench = open_bench(1, worker_wish)
    bench.add("wait", wait_long, on_dirty_exit=job_wish)
    bench.put(a_job(0, "wait"))
    bench.until(lambda: bench.in_flight.running == 1 and not bench.in_flight.ready)
    bench.pool.kill_jobs("shutdown", requeue=True)
    bench.until(lambda: bench.in_flight.ended == [b"0"])
    assert bench.counts == counts
    kinds = [each.effects[0].kind for each in bench.in_flight.settled]
    assert kinds.count("requeue") == counts[2]
    assert len(bench.entries) == counts[1]


def test_a_kill_for_a_job_that_has_ended_hits_no_other(open_bench: OpenBench) -> None:
    """The kill waits for the loop; the job ends in the same turn, and its thread has the next."""
    bench = open_bench(1)
    seen: list[str] = []

    def first() -> None:
        get_hub().loop.run_callback(bench.pool.kill_jobs, "too late")
        gevent.sleep(0)  # comes back before the kill that is scheduled now
        seen.append("first")

    def second() -> None:
        gevent.sleep(0.01)
        seen.append("second")

    def killer() -> None:
        bench.pool.kill_jobs("too late")
        seen.append("killer")

    bench.add("first", first)
    bench.add("second", second)
    bench.add("killer", killer)
    bench.run(a_job(0, "killer"), a_job(1, "second"))
    assert seen == ["killer", "second"]
    assert bench.counts == (2, 0, 0)


def test_cleanup_runs_when_a_job_is_killed(open_bench: OpenBench) -> None:
    bench, seen = open_bench(1), []

    def careful() -> None:
        try:
            wait_long()
        except Exception:
            seen.append("swallowed")
        finally:
            seen.append("finally")

    bench.add("careful", careful)
    bench.put(a_job(0, "careful"))
    bench.until(lambda: bench.pool.threads[:1] != [] and bench.pool.threads[0].job is not None)
    bench.pool.kill_jobs("an operator")
    bench.until(lambda: len(bench.in_flight.ended) == 1)
    assert seen == ["finally"]
    assert bench.counts == (0, 1, 0)


def test_a_storm_of_kills_hits_only_jobs_that_run(open_bench: OpenBench) -> None:
    count, size = 5000, 50
    bench = open_bench(size)
    began: list[int] = []
    finished: list[int] = []
    aimed: set[int] = set()
    by_slot: dict[bytes, int] = {}

    def short(number: int) -> None:
        began.append(number)
        for _ in range(number % 4):
            gevent.sleep(0)
        finished.append(number)

    bench.add("short", short)
    jobs = [a_job(number, "short", number) for number in range(count)]
    by_slot = {job[0]: number for number, job in enumerate(jobs)}
    storming, strikes = True, 0

    def storm() -> None:
        nonlocal strikes
        chance = random.Random(1)
        while storming:
            if chance.random() < 0.1:
                strikes += 1
                aimed.update(
                    by_slot[thread.job[0]]
                    for thread in bench.pool.threads
                    if thread.job is not None
                )
                bench.pool.kill_jobs("storm")
            gevent.sleep(0)

    stormer = gevent.spawn(storm)
    bench.run(*jobs)
    storming = False
    stormer.join()
    in_flight = bench.in_flight
    assert strikes > 3
    assert sorted(in_flight.ended, key=int) == [job[0] for job in jobs], "each ended once"
    assert sorted(began) == list(range(count))
    assert (in_flight.done, in_flight.failed) == (len(finished), count - len(finished))
    killed = {entry["payload"]["args"][0] for entry in bench.entries}
    assert len(bench.entries) == in_flight.failed > 0
    assert killed == set(range(count)) - set(finished)
    assert killed <= aimed
    assert not any(thread.dead for thread in bench.pool.threads)
    bench.run(*(a_job(count + number) for number in range(100)))
    assert in_flight.done == len(finished) + 100


def test_a_message_that_never_comes_is_ended_by_a_kill(open_bench: OpenBench) -> None:
    class Waits(Exception):
        def __str__(self) -> str:
            gevent.sleep(PATIENCE_SECONDS)
            return ""

    bench = open_bench(1)
    bench.add("fail", fails_with(Waits()))
    bench.put(a_job(0, "fail"))
    bench.until(lambda: not bench.in_flight.ready and bench.pool.threads[0].job is not None)
    bench.pool.kill_jobs("an operator")
    bench.until(lambda: bench.in_flight.ended == [b"0"])
    assert bench.counts == (0, 1, 0)
    assert bench.entries[0]["error"] == "<no message: JobKilled in __str__>"


def test_a_job_that_raises_the_kill_of_a_shutdown_itself_fails(open_bench: OpenBench) -> None:
    bench = open_bench(1)
    bench.add("fail", fails_with(JobKilled("shutdown")))
    bench.run(a_job(0, "fail"))
    assert bench.counts == (0, 1, 0)


def test_a_killed_job_whose_finally_raises_goes_back_all_the_same(open_bench: OpenBench) -> None:
    def wait() -> None:
        try:
            gevent.sleep(60)
        finally:
            raise ValueError("on the way out")

    bench = open_bench(1)
    bench.add("wait", lambda *args: wait())
    bench.put(a_job(0, "wait"))
    bench.until(lambda: bench.in_flight.running == 1 and not bench.in_flight.ready)
    bench.pool.kill_jobs("shutdown", requeue=True)
    bench.until(lambda: bench.in_flight.ended == [b"0"])
    assert bench.counts == (0, 0, 1)


def test_of_several_cut_short_the_first_is_the_first_again(open_bench: OpenBench) -> None:
    bench = open_bench(3)
    bench.add("wait", wait_long)
    bench.put(*(a_job(n, "wait") for n in range(3)))
    bench.until(lambda: bench.in_flight.running == 3 and not bench.in_flight.ready)
    bench.pool.kill_jobs("shutdown", requeue=True)
    bench.until(lambda: len(bench.in_flight.ended) == 3)
    # The script pushes them to the head one by one: the last one comes first.
    assert [each.job[0] for each in bench.in_flight.settled] == [b"2", b"1", b"0"]
