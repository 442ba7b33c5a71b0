"""Jobs per second, end to end: a full queue, `gresque work`, and Redis's own count of what ended.

    python benchmarks/throughput.py                 # 2 x 100 greenlets, 1,000,000 no-op jobs
    python benchmarks/throughput.py --all           # every scenario
    python benchmarks/throughput.py --scenario 2x1000 --runs 5

The queue is filled first; then the worker starts, with the in-flight ledger on as always. The clock
runs from the first count of `stat:processed` above zero to the last one, so that the start of the
processes is left out (it is told apart, as `boot`). Redis runs on the same machine. One JSON line
a run on stdout, a table of medians on stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

import gresque
from gresque.store.url import resolve_url

ROOT = Path(__file__).parents[1]
POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Scenario:
    """How many jobs of which kind, worked by what. `goal` is in jobs a second."""

    workers: int
    threads: int
    jobs_per_fork: int
    jobs: int
    goal: int
    sleep_seconds: float | None = None


ENDLESS = 1_000_000_000

SCENARIOS = {
    "2x100": Scenario(2, 100, ENDLESS, 1_000_000, 300_000),
    "2x1000": Scenario(2, 1000, ENDLESS, 1_500_000, 400_000),
    "2x16": Scenario(2, 16, ENDLESS, 500_000, 120_000),
    "2x100, 1,000 jobs per fork": Scenario(2, 100, 1000, 200_000, 80_000),
    "2x1, a fork per job": Scenario(2, 1, 1, 1_000, 200),
    "50 ms, 2x1000": Scenario(2, 1000, ENDLESS, 200_000, 36_000, 0.05),
    "50 ms, 2x5000": Scenario(2, 5000, ENDLESS, 500_000, 80_000, 0.05),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenario", choices=SCENARIOS, action="append")
    parser.add_argument("--all", action="store_true", help="every scenario")
    parser.add_argument("--runs", type=int, default=3, help="runs of each, alternating")
    parser.add_argument("--scale", type=float, default=1.0, help="multiply the number of jobs")
    parser.add_argument("--floor", type=float, help="exit 1 when a median is under this x goal")
    parser.add_argument("--redis", default="embedded://", help="flushed before every run!")
    options = parser.parse_args()
    names = list(SCENARIOS) if options.all else options.scenario or ["2x100"]
    url = resolve_url(options.redis)
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for _ in range(options.runs):
        for name in names:
            result = {"scenario": name, **run(SCENARIOS[name], url, options.scale)}
            results[name].append(result)
            print(json.dumps(result), flush=True)
    medians = {
        name: statistics.median(run["jobs_per_second"] for run in runs)
        for name, runs in results.items()
    }
    print_table(medians, results)
    if options.floor is not None:
        slow = [n for n, rate in medians.items() if rate < options.floor * SCENARIOS[n].goal]
        sys.exit(f"under {options.floor} of the goal: {', '.join(slow)}" if slow else 0)


def run(scenario: Scenario, url: str, scale: float) -> dict[str, Any]:
    """Fill the queue, work it dry, and tell how fast that went."""
    store = redis.Redis.from_url(url)
    store.flushall()
    jobs = max(1, int(scenario.jobs * scale))
    enqueued_in = enqueue(scenario, url, jobs)
    started = time.monotonic()
    worker = subprocess.Popen(
        [
            *(sys.executable, "-m", "gresque", "work", "--burst", "-q", "bench"),
            *("-r", "benchmarks.jobs", "-w", str(scenario.workers), "-t", str(scenario.threads)),
            *("-j", str(scenario.jobs_per_fork)),
        ],
        cwd=ROOT,
        env={**os.environ, "REDIS_URL": url},
        stderr=subprocess.PIPE,
        text=True,
    )
    first_at, first_count, last_at = watch(store, worker, jobs)
    _, log = worker.communicate(timeout=60)
    processed = int(store.get("resque:stat:processed") or 0)
    if worker.returncode or processed != jobs:
        sys.exit(f"{processed:,} of {jobs:,} jobs done, exit {worker.returncode}:\n{log}")
    return {
        "jobs": jobs,
        "jobs_per_second": round((jobs - first_count) / (last_at - first_at)),
        "boot_seconds": round(first_at - started, 3),
        "seconds": round(last_at - started, 3),
        "enqueued_per_second": round(jobs / enqueued_in),
    }


def enqueue(scenario: Scenario, url: str, jobs: int) -> float:
    client = gresque.Client(url)
    started = time.monotonic()
    argument = scenario.sleep_seconds
    if argument is None:
        client.enqueue_many("Noop", ((n,) for n in range(jobs)), queue="bench")
    else:
        client.enqueue_many("Sleep", ((argument,) for _ in range(jobs)), queue="bench")
    return time.monotonic() - started


def watch(store: redis.Redis, worker: subprocess.Popen[str], jobs: int) -> tuple[float, int, float]:
    """When the first jobs had ended, how many that were, and when the last one had."""
    first: tuple[float, int] | None = None
    while worker.poll() is None:
        count = int(store.get("resque:stat:processed") or 0)
        now = time.monotonic()
        if count and first is None:
            first = now, count
        if count >= jobs:
            break
        time.sleep(POLL_SECONDS)
    first_at, first_count = first or (now - POLL_SECONDS, 0)
    return first_at, first_count if first_count < jobs else 0, now


def print_table(medians: dict[str, float], results: dict[str, list[dict[str, Any]]]) -> None:
    rows = ["| scenario | jobs/s, median | lowest | highest | goal |", "|---|---|---|---|---|"]
    for name, median in medians.items():
        rates = [run["jobs_per_second"] for run in results[name]]
        rows.append(
            f"| {name} | {median:,.0f} | {min(rates):,} | {max(rates):,} "
            f"| {SCENARIOS[name].goal:,} |"
        )
    print("\n".join(rows), file=sys.stderr)


if __name__ == "__main__":
    main()
