"""What a whole job costs, from enqueue to its last end: plain, delayed, retried, failed,
unique, tracked.

CPU, of the program that enqueues, of a worker (its master included) and of the server. A burst of a
worker without jobs is measured first, and taken off. See cost.py.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from typing import NamedTuple

import gresque
from benchmarks import harness
from benchmarks.harness import BUILD, Processes, Results, Server
from benchmarks.jobs import REST_SECONDS

JOBS = 500_000
MARGIN_SECONDS = 0.5


class Kind(NamedTuple):
    """A way of a job through the system, and what it may cost at most, in plain jobs."""

    job: str
    most: float | None
    share: float = 0.1
    """Of the number of jobs of a plain run: the others cost more."""
    delay: float | None = None
    fails: bool = False
    bursts: int = 1
    """How many it takes: a burst does not wait for what is due later."""


KINDS = {
    "plain": Kind("Noop", None, share=1.0),
    "delayed": Kind("Noop", 5.0, delay=REST_SECONDS),
    "retried once, at once": Kind("FailsOnce", 5.0),
    "retried once, after a delay": Kind("FailsOnceAndRests", None, bursts=2),
    "failed": Kind("Fails", None, fails=True),
    "unique, both": Kind("UniqueBoth", 4.0),
    "unique, queued": Kind("UniqueQueued", 5.0),
    "tracked": Kind("Tracked", 5.0),
}


class Cost(NamedTuple):
    """Seconds of CPU."""

    client: float
    worker: float
    server: float


def whole_jobs(server: Server, results: Results, scale: float) -> None:
    """Note what each kind costs, and that in plain jobs."""
    idle = _idle(server)
    plain = 0.0
    for name, kind in KINDS.items():
        jobs = max(100, int(JOBS * kind.share * scale))
        cost = _cost(server, kind, jobs, idle)
        total = 1e6 * sum(cost) / jobs
        plain = plain or total
        parts = {who: round(1e6 * spent / jobs, 2) for who, spent in cost._asdict().items()}
        results.note(f"job: {name}", total, **parts)
        if name != "plain":
            results.note(
                f"job: {name}, in plain jobs", total / plain, kind.most, at_most=True, unit="×"
            )


def _idle(server: Server) -> Cost:
    """Of a burst that finds nothing. What this program loads for its first job is loaded then."""
    gresque.Client(server.url).enqueue_many("Noop", [(0,)], queue="bench")
    server.empty()
    bursts = [_burst(server) for _ in range(3)]
    return Cost(*map(statistics.median, zip(*bursts, strict=True)))


def _cost(server: Server, kind: Kind, jobs: int, idle: Cost) -> Cost:
    server.empty()
    before, started = _server_seconds(server), time.process_time()
    client = gresque.Client(server.url)
    client.enqueue_many(kind.job, ((n,) for n in range(jobs)), queue="bench", in_=kind.delay)
    spent = Cost(time.process_time() - started, 0.0, _server_seconds(server) - before)
    for burst in range(kind.bursts):
        if burst or kind.delay is not None:
            time.sleep(REST_SECONDS + MARGIN_SECONDS)  # until the last one is due
        cost = _burst(server)
        spent = Cost(
            spent.client,
            spent.worker + cost.worker - idle.worker,
            spent.server + cost.server - idle.server,
        )
    ended = server.processed()
    if ended != jobs:
        sys.exit(f"{kind.job}: {ended:,} of {jobs:,} jobs have ended")
    failed = server.failed()
    if failed != (jobs if kind.fails else 0):
        sys.exit(f"{kind.job}: {failed:,} of {jobs:,} jobs have failed")
    return spent


def _burst(server: Server) -> Cost:
    """Run what is there, in one process of 100 threads."""
    before = _server_seconds(server)
    started = _children_seconds()
    command = [
        *(sys.executable, "-m", "gresque", "work", "-q", "bench", "-r", "benchmarks.jobs"),
        *("-w", "1", "-t", "100", "-j", str(harness.ENDLESS), "--burst"),
    ]
    env = {"REDIS_URL": server.url}
    with Processes([command], env, BUILD / "logs" / "whole_jobs.log") as work:
        work.wait(600)
        if work.roots[0].returncode:
            sys.exit(f"the worker failed: {work.last_line()}")
    return Cost(0.0, _children_seconds() - started, _server_seconds(server) - before)


def _children_seconds() -> float:
    """Of all programs that have ended, with their children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _server_seconds(server: Server) -> float:
    used = server.redis.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])
