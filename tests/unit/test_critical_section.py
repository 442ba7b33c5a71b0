"""Sections of a job in which no kill may land."""

from __future__ import annotations

from typing import Any

import gevent
import gevent.event

from gresque.jobs.critical_section import uninterruptible
from gresque.processes.scoreboard import GUARDED
from tests.support.pool_bench import (
    OpenBench,
    a_job,
    wait_long,
)


def test_a_kill_waits_for_the_end_of_the_outermost_section(open_bench: OpenBench) -> None:
    bench, seen = open_bench(1), []
    leave_inner, leave = gevent.event.Event(), gevent.event.Event()

    def guarded() -> None:
        with uninterruptible():
            with uninterruptible():
                leave_inner.wait()
            leave.wait()
            seen.append("whole")
        seen.append("too far")

    bench.add("guarded", guarded)
    bench.put(a_job(0, "guarded"), a_job(1))
    bench.until(lambda: bool(bench.pool.words[0] & GUARDED))
    bench.pool.kill_jobs("an operator")
    for each in (leave_inner, leave):
        gevent.sleep(0.01)  # the kill is thrown, if it is not kept waiting
        each.set()
    bench.until(lambda: len(bench.in_flight.ended) == 2)
    assert seen == ["whole"]
    assert bench.counts == (1, 1, 0)
    assert bench.pool.words[0] == 2  # the next job's slot, not guarded


def test_a_section_that_was_never_left_guards_no_later_job(open_bench: OpenBench) -> None:
    bench = open_bench(1)
    left: list[Any] = []

    def leaves() -> None:
        left.append(uninterruptible())
        left[0].__enter__()

    bench.add("leaves", leaves)
    bench.add("wait", wait_long)
    bench.put(a_job(0, "leaves"), a_job(1, "wait"))
    bench.until(lambda: bench.in_flight.ended == [b"0"])
    bench.pool.kill_jobs("an operator")
    bench.until(lambda: len(bench.in_flight.ended) == 2)
    assert bench.counts == (1, 1, 0)


def test_outside_a_worker_a_section_does_nothing() -> None:
    with uninterruptible():
        pass
