"""The jobs of the benchmarks."""

from __future__ import annotations

import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import time
from functools import cache
from typing import Any

import gresque
from benchmarks.peers import body


@gresque.job(queue="bench", name="Noop")
def noop(*args: Any) -> None:
    """Nothing: what remains is what a job costs."""


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


@gresque.job(queue="bench", name="Chaos")
def chaos(key: str, seconds: float) -> None:
    """Wait, and note the start and the end in the file CHAOS_TALLY: Redis may be away."""
    _note("start", key)
    time.sleep(seconds)
    _note("end", key)


@gresque.job(queue="bench", name="ChaosForks")
def chaos_forks(key: str, seconds: float) -> None:
    """As Chaos, with a child that lives as long as the wait and then ends in one of many ways."""
    _note("start", key)
    how = random.choice(["return", "raise", "exit", "os_exit", "process", "run", "greenlet"])
    if how == "run":
        subprocess.run(["sleep", str(seconds)], check=True, preexec_fn=_nothing)
    elif how == "process":
        process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(seconds,))
        process.start()
        process.join()
    elif how == "greenlet":
        import gevent  # in a worker it is there; a benchmark that only enqueues stays without

        _reap(gevent.spawn(_fork, how, seconds).get())
    elif pid := _fork(how, seconds):
        _reap(pid)
    else:
        return
    _note("end", key)


CHAOS_FAILURES, CHAOS_DELAY = 2, 0.3
"""How often a job of chaos that is tried again fails, and the seconds until its next attempt."""


@gresque.job(queue="bench", name="ChaosRetried", retries=CHAOS_FAILURES, backoff=CHAOS_DELAY)
def chaos_retried(key: str, seconds: float) -> None:
    """As Chaos, at the third attempt. Each attempt has a key of its own."""
    job = gresque.current_job()
    assert job is not None
    _note("start", f"{key}#{job.attempt}")
    time.sleep(seconds)
    if job.attempt <= CHAOS_FAILURES:
        _note("failed", f"{key}#{job.attempt}")
        raise ValueError("on purpose")
    _note("end", key)


@gresque.job(queue="bench", name="ChaosTick")
def chaos_tick(number: int) -> None:
    """Note which tick of which schedule entry has run."""
    job = gresque.current_job()
    assert job is not None and job.scheduled_for is not None
    key = f"tick-{number}@{job.scheduled_for.timestamp():.0f}"
    _note("start", key)
    _note("end", key)


def _nothing() -> None:
    """With it, Python runs in the child before the program does."""


def _fork(how: str, seconds: float) -> int:
    pid = os.fork()
    if pid == 0:
        time.sleep(seconds)
        if how == "raise":
            raise ValueError("in a child")
        if how == "exit":
            sys.exit(3)
        if how == "os_exit":
            os._exit(4)
    return pid


def _reap(pid: int) -> None:
    os.waitpid(pid, 0)


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


@cache
def _tally_of(pid: int) -> int:
    return os.open(os.environ["CHAOS_TALLY"], os.O_WRONLY | os.O_APPEND)


def _note(event: str, key: str) -> None:
    pid = os.getpid()
    os.write(_tally_of(pid), f"{event} {key} {pid} {time.monotonic():.4f}\n".encode())


@gresque.job(queue="bench", name="Burn")
def burn(seconds: float) -> None:
    """Keep the CPU for so long."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass
    body.count()


gresque.job(queue="bench", name="Start")(body.start)
