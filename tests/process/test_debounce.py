"""Debounced and throttled jobs with real workers."""

from __future__ import annotations

import time
from typing import Any

from tests.process.support import Bench, wait_for
from tests.process.test_maintenance import ARGUMENTS, holder


def one_for_all(*_: Any) -> str:
    return "one"


def trigger(bench: Bench, seconds: float, **options: Any) -> tuple[float, float]:
    """Enqueue a job again and again for this time; returns the first argument and the last: the
    times of these triggers."""
    job = bench.client.options("When", queue="q", unique_key=one_for_all, **options)
    first = now = time.time()
    while now < first + seconds:
        job.enqueue(now)
        time.sleep(0.05)
        last, now = now, time.time()
    return first, last


def runs(bench: Bench) -> list[tuple[float, float]]:
    """The time of its trigger and its beginning, of each run."""
    notes = [raw.split() for raw in bench.redis.lrange("when", 0, -1)]
    return [(float(argument), float(began)) for argument, began in notes]


def test_a_debounced_job_runs_at_its_longest_wait_and_after_the_last_trigger(bench: Bench) -> None:
    master = bench.start(*ARGUMENTS)
    wait_for(lambda: holder(master))
    first, last = trigger(bench, 1.7, debounce=0.3, max_wait=1)
    wait_for(lambda: runs(bench)[-1:] and runs(bench)[-1][0] == last)
    found = runs(bench)
    # The second wait begins after the first run, and is cut short by nothing.
    assert len(found) <= 3
    argument, began = found[0]
    assert began >= first + 1 - 0.01
    assert first + 0.3 < argument <= began
    assert found[-1][1] >= last + 0.3 - 0.01
    wait_for(lambda: not bench.redis.keys("resque:unique:*"))


def test_a_throttled_job_runs_at_the_beginning_and_after_the_last_trigger(bench: Bench) -> None:
    master = bench.start(*ARGUMENTS)
    wait_for(lambda: holder(master))
    began = time.monotonic()
    first, last = trigger(bench, 1.2, throttle=0.5, trailing=True)
    periods = (time.monotonic() - began) / 0.5
    wait_for(lambda: runs(bench)[-1:] and runs(bench)[-1][0] == last)
    found = [argument for argument, _ in runs(bench)]
    assert found[0] == first
    assert found == sorted(set(found))
    assert 2 <= len(found) <= periods + 2
    wait_for(lambda: not bench.redis.keys("resque:unique:*"))
