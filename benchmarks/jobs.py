"""The jobs of the benchmarks."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from typing import Any

import gresque
from benchmarks.peers import body


@gresque.job(queue="bench", name="Noop")
def noop(*args: Any) -> None:
    """Nothing: what remains is what a job costs."""


@gresque.job(queue="bench", name="UniqueBoth", unique="both")
def unique_both(*args: Any) -> None:
    """Its lock is released in the turn that settles it."""


@gresque.job(queue="bench", name="UniqueQueued", unique="queued")
def unique_queued(*args: Any) -> None:
    """Its lock is released before it starts."""


@gresque.job(queue="bench", name="Fails")
def fails(*args: Any) -> None:
    raise ValueError("on purpose")


@gresque.job(queue="bench", name="FailsOnce", retries=1, backoff=0)
def fails_once(*args: Any) -> None:
    """Its second attempt follows at once."""
    _fail_once()


REST_SECONDS = 3
"""How long a job of whole_jobs.py waits that is delayed, or tried again after a delay."""


@gresque.job(queue="bench", name="FailsOnceAndRests", retries=1, backoff=REST_SECONDS)
def fails_once_and_rests(*args: Any) -> None:
    _fail_once()


def _fail_once() -> None:
    job = gresque.current_job()
    assert job is not None
    if job.attempt == 1:
        raise ValueError("on purpose")


@gresque.job(queue="bench", name="Sleep")
def sleep(seconds: float) -> None:
    """Wait, as for a reply over the network."""
    time.sleep(seconds)


@gresque.job(queue="bench", name="Tally")
def tally(key: str, seconds: float) -> None:
    """Wait, then count this run under the job's name."""
    time.sleep(seconds)
    gresque.default_client().store.redis.hincrby("tally", key, 1)


@gresque.job(queue="bench", name="ForkCost")
def fork_cost(pairs: int) -> None:
    """See benchmarks/forking.py."""
    from gresque import forked

    def run(hook: bool) -> tuple[float, float]:
        forked._forks_own = not hook
        before, started = sum(os.times()[:4]), time.perf_counter()
        subprocess.run(["true"], check=True)
        wall = time.perf_counter() - started
        return 1e6 * wall, 1e6 * (sum(os.times()[:4]) - before)

    runs = [(run(hook=True), run(hook=False)) for _ in range(pairs)]
    forked._forks_own = False
    with_hook, without = zip(*runs, strict=True)
    differences = [yes[0] - no[0] for yes, no in runs]
    found = {
        "subprocess.run, with the hook": statistics.median(wall for wall, _ in with_hook),
        "subprocess.run, without": statistics.median(wall for wall, _ in without),
        "the hook: median of the differences": statistics.median(differences),
        "the hook: CPU": statistics.fmean(yes[1] - no[1] for yes, no in runs),
    }
    gresque.default_client().store.redis.hset("fork-cost", mapping=found)


@gresque.job(queue="bench", name="Tracked", result_ttl_seconds=60)
def tracked(number: int) -> int:
    """What remains is what its state and its result cost."""
    return number


@gresque.job(queue="bench", name="Burn")
def burn(seconds: float) -> None:
    """Keep the CPU for this time."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass
    body.count()


gresque.job(queue="bench", name="Start")(body.start)
