"""When debounced and throttled jobs run."""

from __future__ import annotations

import time

from tests.acceptance.flow import LONG_LIVED, end_well
from tests.process import flow_jobs
from tests.process.support import Bench, wait_for
from tests.process.test_maintenance import holder


def by_name(name: str, value: object) -> str:
    return name


def runs(bench: Bench, since: float) -> list[tuple[float, str]]:
    found = []
    for raw in bench.redis.lrange("at:k", 0, -1):
        at, value = raw.decode().split()
        found.append((float(at) - since, value))
    return found


def test_a_debounced_job_runs_after_its_last_trigger_or_its_longest_wait(bench: Bench) -> None:
    """A trigger every 0.1 s for 8 s, with a delay of 1 s and 5 s at most: it runs at 5 s, and 1 s
    after the last one; always with the latest value."""
    master = bench.start("-q", "sync", "-t", "5", *LONG_LIVED)
    wait_for(lambda: holder(master))
    first = time.time()
    ids = []
    for n in range(80):
        time.sleep(max(first + n / 10 - time.time(), 0))
        options = bench.client.options(
            flow_jobs.runs_at, unique_key=by_name, debounce=1, max_wait=5
        )
        ids.append(options.enqueue("k", n))
    last = time.time() - first
    wait_for(lambda: len(runs(bench, first)) == 2)
    (one, value), (two, latest) = runs(bench, first)
    print(f"ran at {one:.2f} s with {value}, at {two:.2f} s, {two - last:.2f} s after the last")
    assert abs(one - 5) < 0.3 and 46 <= int(value) <= 52
    assert abs(two - last - 1) < 0.3 and latest == "79"
    assert len(set(ids)) == 2
    # Then nothing is left that could run once more.
    wait_for(lambda: not bench.held() and not bench.redis.keys("resque:unique:*"))
    assert not bench.redis.exists("resque:later", "resque:later:jobs", "resque:queue:sync")
    assert len(runs(bench, first)) == 2
    end_well(master)


def test_a_throttled_job_runs_first_and_once_more_at_the_end(bench: Bench) -> None:
    master = bench.start("-q", "sync", "-t", "5", *LONG_LIVED)
    wait_for(lambda: holder(master))
    first = time.time()
    options = bench.client.options(flow_jobs.runs_at, unique_key=by_name, throttle=2, trailing=True)
    for n in range(15):
        time.sleep(max(first + n / 10 - time.time(), 0))
        options.enqueue("k", n)
    wait_for(lambda: len(runs(bench, first)) == 2)
    (one, value), (two, latest) = runs(bench, first)
    print(f"ran at {one:.2f} s with {value}, at {two:.2f} s with {latest}")
    assert one < 0.3 and value == "0"
    assert abs(two - 2) < 0.3 and latest == "14"
    end_well(master)


def test_without_a_trailing_run_what_comes_meanwhile_is_dropped(bench: Bench) -> None:
    master = bench.start("-q", "sync", "-t", "5", *LONG_LIVED)
    options = bench.client.options(flow_jobs.runs_at, unique_key=by_name, throttle=1)
    first = time.time()
    kept = []
    while time.time() < first + 3.5:
        job = options.enqueue("k", f"{time.time() - first:.1f}")
        assert job is not None
        kept.append(not job.duplicate)
        time.sleep(0.05)
    wait_for(lambda: len(runs(bench, first)) == sum(kept))
    print(*(f"{at:.2f}" for at, _ in runs(bench, first)))
    assert sum(kept) == 4
    end_well(master)
