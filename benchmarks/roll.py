"""Is there a gap when a HUP replaces every worker process? Throughput per 100 ms tells.

    python benchmarks/roll.py                   # 2 x 100 greenlets, jobs of 50 ms, one HUP
    python benchmarks/roll.py --no-preload      # each new process loads the job modules itself
    python benchmarks/roll.py --floor 0.8       # exit 1 when a window falls under 0.8 of the median

Windows before the HUP tell how much they vary by themselves; their median is 1. The counts come
from `stat:processed`. One JSON line a run on stdout, the windows around the HUP on stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import redis

import gresque
from gresque.connection.topology import resolve_url

ROOT = Path(__file__).parents[1]
JOB_SECONDS = 0.05
WINDOW_SECONDS = 0.1
BEFORE, AFTER = 30, 40
"""Windows that are looked at."""
LONGEST_SECONDS = 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=100)
    parser.add_argument("--no-preload", action="store_true")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--floor", type=float, help="exit 1 when a window falls under it")
    parser.add_argument("--redis", default="embedded://", help="flushed before every run!")
    options = parser.parse_args()
    url = resolve_url(options.redis)
    lowest = []
    for _ in range(options.runs):
        result = run(url, options)
        lowest.append(result["lowest_after"])
        print(json.dumps(result), flush=True)
    if options.floor is not None and statistics.median(lowest) < options.floor:
        sys.exit(f"a gap: {lowest}")


def run(url: str, options: argparse.Namespace) -> dict[str, Any]:
    store = redis.Redis.from_url(url)
    store.flushall()
    rate = options.workers * options.threads / JOB_SECONDS
    jobs = int(rate * (BEFORE + AFTER + 50) * WINDOW_SECONDS)
    client = gresque.Client(url)
    client.enqueue_many("Sleep", ((JOB_SECONDS,) for _ in range(jobs)), queue="bench")
    worker = subprocess.Popen(
        [
            *(sys.executable, "-m", "gresque", "work", "-q", "bench", "-r", "benchmarks.jobs"),
            *("-w", str(options.workers), "-t", str(options.threads), "-j", "1000000000"),
            *(["--no-preload"] if options.no_preload else []),
        ],
        cwd=ROOT,
        env={**os.environ, "REDIS_URL": url},
        stderr=subprocess.DEVNULL,
    )
    try:
        processed(store, above=rate)  # warm
        before = windows(store, BEFORE)
        old = {child.pid for child in psutil.Process(worker.pid).children()}
        worker.send_signal(signal.SIGHUP)
        after = windows(store, AFTER)
        new = {child.pid for child in psutil.Process(worker.pid).children()}
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(LONGEST_SECONDS)
    if old & new or len(new) != options.workers + 1:  # and the maintenance process
        sys.exit(f"not replaced within {AFTER * WINDOW_SECONDS:g} s: {old & new}")
    usual = statistics.median(before)
    print(
        f"{usual / WINDOW_SECONDS:,.0f} jobs/s;",
        " ".join(f"{count / usual:.2f}" for count in before[-10:]),
        "| HUP |",
        " ".join(f"{count / usual:.2f}" for count in after),
        file=sys.stderr,
    )
    return {
        "jobs_per_second": round(usual / WINDOW_SECONDS),
        "lowest_before": round(min(before) / usual, 3),
        "lowest_after": round(min(after) / usual, 3),
        "mean_after": round(statistics.mean(after) / usual, 3),
    }


def windows(store: redis.Redis, count: int) -> list[int]:
    """How many jobs ended in each window."""
    counts, seen, at = [], processed(store), time.monotonic()
    for _ in range(count):
        at += WINDOW_SECONDS
        time.sleep(max(0.0, at - time.monotonic()))
        now = processed(store)
        counts.append(now - seen)
        seen = now
    return counts


def processed(store: redis.Redis, above: float = -1) -> int:
    """What `stat:processed` says, once it is above that."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < deadline:
        count = int(store.get("resque:stat:processed") or 0)
        if count > above:
            return count
        time.sleep(WINDOW_SECONDS)
    raise SystemExit(f"not {above:,.0f} jobs within {LONGEST_SECONDS} s")


if __name__ == "__main__":
    main()
