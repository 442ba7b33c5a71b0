"""Debounced and throttled jobs with real workers."""

from __future__ import annotations

import time
from typing import Any

from tests.process.support import Bench, wait_for
from tests.process.test_maintenance import ARGUMENTS, holder


def one_for_all(*_: Any) -> str:
    return "one"


def trigger(bench: Bench, seconds: float, **options: Any) -> list[float]:
    """Enqueue a job again and again for this time; returns its arguments: the times of these
    triggers."""
    job = bench.client.options("When", queue="q", unique_key=one_for_all, **options)
    times = [time.time()]
    while times[-1] < times[0] + seconds:
        job.enqueue(times[-1])
        time.sleep(0.05)
        times.append(time.time())
    return times[:-1]


def runs(bench: Bench) -> list[tuple[float, float]]:
    """The time of its trigger and its beginning, of each run."""
    notes = [raw.split() for raw in bench.redis.lrange("when", 0, -1)]
    return [(float(argument), float(began)) for argument, began in notes]


def test_a_debounced_job_runs_at_its_longest_wait_and_after_the_last_trigger(bench: Bench) -> None:
    master = bench.start(*ARGUMENTS)
    wait_for(lambda: holder(master))
    for _ in range(20):
        times = trigger(bench, 1.7, debounce=0.3, max_wait=1)
        first, last = times[0], times[-1]
        wait_for(lambda last=last: last in [argument for argument, _ in runs(bench)])  # type: ignore[misc]
        # On a busy machine a trigger may come after the wait for it.
        if max(after - before for before, after in zip(times, times[2:], strict=False)) < 0.3:
            break
        wait_for(lambda: not bench.redis.keys("resque:unique:*"))
        bench.redis.delete("when")
    found = runs(bench)
    # The second wait begins after the first run, and is cut short by nothing.
    assert len(found) <= 3
    argument, began = found[0]
    assert began >= first + 1 - 0.01
    assert first + 0.3 < argument <= began
    if len(found) > 1:  # else the first one began so late that the last trigger was before it
        assert found[-1][1] >= last + 0.3 - 0.01
    wait_for(lambda: not bench.redis.keys("resque:unique:*"))


def test_a_throttled_job_runs_at_the_beginning_and_after_the_last_trigger(bench: Bench) -> None:
    master = bench.start(*ARGUMENTS)
    wait_for(lambda: holder(master))
    began = time.monotonic()
    times = trigger(bench, 1.2, throttle=0.5, trailing=True)
    periods = (time.monotonic() - began) / 0.5
    wait_for(lambda: times[-1] in [argument for argument, _ in runs(bench)])
    found = [argument for argument, _ in runs(bench)]
    assert min(found) == times[0]
    assert len(set(found)) == len(found)
    assert 2 <= len(found) <= periods + 2
    wait_for(lambda: not bench.redis.keys("resque:unique:*"))
