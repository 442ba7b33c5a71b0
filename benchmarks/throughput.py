"""Jobs per second, end to end: a full queue, `gresque work`, and Redis's own count of what ended.

    python -m benchmarks.throughput                  # 2 x 100 greenlets, 1,000,000 no-op jobs
    python -m benchmarks.throughput --all            # every scenario
    python -m benchmarks.throughput --scenario 2x1000 --runs 5
    python -m benchmarks.throughput --guard          # what CI runs: exit 1 far below the goal

The queue is filled first; then the worker starts, with the in-flight ledger on as always. The clock
runs from the first count of `stat:processed` above zero to the last one, so that the start of the
processes is left out (it is reported as `boot_seconds`). Redis runs on the same machine. One
JSON line a run on stdout, a table of medians on stderr.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

from benchmarks import harness
from benchmarks.harness import ENDLESS, Results, Server, drain, enqueue, gresque_work

GUARD_FLOOR = 1 / 3
"""Of the goal. A machine that CI runs on may be half as fast as the one that the goal is for."""
GUARD_TRIES = 4


@dataclass(frozen=True)
class Scenario:
    """How many jobs of which kind, worked by what. `goal` is in jobs a second."""

    workers: int
    threads: int
    jobs_per_fork: int
    jobs: int
    goal: int
    sleep_seconds: float | None = None


SCENARIOS = {
    "2x100": Scenario(2, 100, ENDLESS, 1_000_000, 300_000),
    "2x1000": Scenario(2, 1000, ENDLESS, 1_500_000, 400_000),
    "2x16": Scenario(2, 16, ENDLESS, 500_000, 120_000),
    "2x1, never replaced": Scenario(2, 1, ENDLESS, 50_000, 10_000),
    "2x100, 1,000 jobs per fork": Scenario(2, 100, 1000, 200_000, 80_000),
    "1x1, a fork per job": Scenario(1, 1, 1, 1_000, 200),
    "50 ms, 2x1000": Scenario(2, 1000, ENDLESS, 200_000, 36_000, 0.05),
    "50 ms, 2x5000": Scenario(2, 5000, ENDLESS, 500_000, 80_000, 0.05),
}
GUARD = {"2x100": 0.3, "2x100, 1,000 jobs per fork": 0.3, "50 ms, 2x1000": 0.2}
"""Scenarios, and the share of their jobs, that tell of a regression in some seconds."""


def main() -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--scenario", choices=SCENARIOS, action="append")
    parser.add_argument("--all", action="store_true", help="every scenario")
    parser.add_argument("--floor", type=float, help="exit 1 when a median is under this x goal")
    parser.add_argument("--guard", action="store_true", help="the best of a few short runs counts")
    options = parser.parse_args()
    server = Server(options.redis)
    results = Results("throughput", "jobs/s")
    if options.guard:
        slow = guard(server, results)
    else:
        names = list(SCENARIOS) if options.all else options.scenario or ["2x100"]
        for _ in range(options.runs):
            for name in names:
                run(name, server, results, options.scale)
        floor = options.floor or 0.0
        slow = [name for name in names if results.median(name) < floor * SCENARIOS[name].goal]
    results.print_table()
    sys.exit(f"too slow: {', '.join(slow)}" if slow else 0)


def guard(server: Server, results: Results) -> list[str]:
    """Scenarios that stay below the floor however often they are tried: another program that takes
    the machine for a second is no regression."""
    slow = []
    for name, scale in GUARD.items():
        for _ in range(GUARD_TRIES):
            run(name, server, results, scale)
            if results.best(name) >= GUARD_FLOOR * SCENARIOS[name].goal:
                break
        else:
            slow.append(name)
    return slow


def run(name: str, server: Server, results: Results, scale: float) -> None:
    """Fill the queue, work it dry, and tell how fast that went."""
    scenario = SCENARIOS[name]
    server.empty()
    jobs = max(1, int(scenario.jobs * scale))
    began = time.monotonic()
    if scenario.sleep_seconds is None:
        enqueue(server, "Noop", range(jobs))
    else:
        enqueue(server, "Sleep", (scenario.sleep_seconds for _ in range(jobs)))
    enqueued_in = time.monotonic() - began
    with gresque_work(
        server,
        workers=scenario.workers,
        threads=scenario.threads,
        jobs_per_fork=scenario.jobs_per_fork,
        options=["--burst"],
    ) as work:
        rate = drain(server, work, jobs)
        first_at = rate.first[0] if rate.first else rate.last[0]
        results.note(
            name,
            rate.per_second,
            scenario.goal,
            boot_seconds=round(first_at - work.started, 3),
            enqueued_per_second=round(jobs / enqueued_in),
        )


if __name__ == "__main__":
    main()
