"""The threads of a worker process, on gevent without its patches."""

from __future__ import annotations

import gevent
import gevent.event
import pytest

from tests.support.pool_bench import (
    PATIENCE_SECONDS,
    OpenBench,
    a_job,
    wait_long,
)


@pytest.mark.parametrize("threads", [1, 2, 7, 100])
@pytest.mark.parametrize("jobs", [1, 2, 50])
def test_every_job_is_performed_once(open_bench: OpenBench, threads: int, jobs: int) -> None:
    bench, seen = open_bench(threads), []
    bench.add("see", lambda number, key: seen.append((number, key)))
    bench.run(*(a_job(number, "see", number, key=-number) for number in range(jobs)))
    assert sorted(seen) == [(number, -number) for number in range(jobs)]
    assert sorted(bench.in_flight.ended, key=int) == [
        str(number).encode() for number in range(jobs)
    ]
    assert bench.counts == (jobs, 0, 0)
    assert bench.in_flight.running == 0
    assert bench.entries == []
    assert len(bench.pool.threads) <= min(threads, jobs)


@pytest.mark.parametrize("threads", [1, 10, 100])
def test_each_thread_holds_a_job_that_waits(open_bench: OpenBench, threads: int) -> None:
    bench, all_run = open_bench(threads), gevent.event.Event()
    running = most = 0

    def wait() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == threads:
            all_run.set()
        all_run.wait(PATIENCE_SECONDS)
        gevent.sleep(0.001)
        running -= 1

    bench.add("wait", wait)
    bench.run(*(a_job(number, "wait") for number in range(2 * threads)))
    assert most == threads
    assert bench.counts == (2 * threads, 0, 0)


def test_parked_threads_are_used_again(open_bench: OpenBench) -> None:
    bench = open_bench(5)
    for _ in range(20):
        bench.run(*(a_job(number) for number in range(10)))
    assert len(bench.pool.threads) <= 5
    assert bench.in_flight.done == 200


def test_the_scoreboard_shows_which_slot_a_thread_runs(open_bench: OpenBench) -> None:
    bench = open_bench(2)
    bench.add("wait", wait_long)
    bench.put(a_job(3, "wait"), a_job(0, "wait"))
    bench.until(lambda: sum(thread.job is not None for thread in bench.pool.threads) == 2)
    assert sorted(bench.pool.words) == [1, 4]
    bench.pool.kill_jobs("an operator")
    bench.until(lambda: len(bench.in_flight.ended) == 2)
