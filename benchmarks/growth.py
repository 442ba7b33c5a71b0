"""Does it stay fast and small: with many queues, long ones, large payloads, after many jobs?

    python -m benchmarks.growth                     # some minutes, and 2 GB for 5,000,000 jobs
    python -m benchmarks.growth --only queues

All with 2 x 100 greenlets and no-op jobs. Values in % are a share of the throughput with one
queue of 500,000 jobs, measured in the same round.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import gresque
from benchmarks import harness
from benchmarks.harness import (
    Rate,
    Results,
    Server,
    drain,
    enqueue,
    gresque_work,
    pss_bytes,
    wait_for,
    wait_ready,
)

JOBS = 500_000
DEEP_JOBS = 5_000_000
WAITING_SECONDS = 60.0


def main() -> None:
    parser = harness.parser(__doc__)
    tests: dict[str, Callable[[Server, Results, float], None]] = {
        "queues": many_queues,
        "payloads": large_payloads,
        "memory": memory,
        "depth": deep_queue,
    }
    parser.add_argument("--only", choices=tests, action="append")
    options = parser.parse_args()
    server = Server(options.redis)
    results = Results("growth", "%")
    for _ in range(options.runs):
        for name in options.only or tests:
            tests[name](server, results, options.scale)
    results.print_table()


def many_queues(server: Server, results: Results, scale: float) -> None:
    """In strict priority, the jobs spread over all of them, or all in the last one."""
    jobs = int(JOBS * scale)
    alone = rate(server, ["q0"], jobs)
    results.note("1 queue", alone, unit="jobs/s")
    for count, goal in ((10, None), (100, 70.0)):
        names = [f"q{number}" for number in range(count)]
        results.note(f"{count} queues, all full", 100 * rate(server, names, jobs) / alone, goal)
        last = rate(server, names, jobs, full=names[-1:])
        results.note(f"{count} queues, only the last full", 100 * last / alone, goal)
    names = [f"q{number}" for number in range(100)]
    results.note("100 queues, by a glob", 100 * rate(server, names, jobs, watch="q*") / alone, 70)


def rate(
    server: Server,
    queues: list[str],
    jobs: int,
    full: list[str] | None = None,
    watch: str | None = None,
) -> float:
    server.empty()
    full = full or queues
    for queue in full:
        enqueue(server, "Noop", range(jobs // len(full)), queue)
    with gresque_work(server, queues=watch or ",".join(queues), options=["--burst"]) as work:
        return drain(server, work, jobs // len(full) * len(full)).per_second


def large_payloads(server: Server, results: Results, scale: float) -> None:
    """Of 100 bytes, 1 kB and 10 kB, without what makes a job of them."""
    for size, share in ((100, 1.0), (1_000, 0.5), (10_000, 0.1)):
        jobs = int(JOBS * scale * share)
        server.empty()
        enqueue(server, "Noop", ("x" * size for _ in range(jobs)))
        with gresque_work(server, options=["--burst"]) as work:
            found = drain(server, work, jobs).per_second
        results.note(f"payloads of {size:,} bytes", found, unit="jobs/s")


def memory(server: Server, results: Results, scale: float) -> None:
    """Of a worker process at rest, and of each job that waits."""
    server.empty()
    waiting = 2000
    with gresque_work(server, threads=1000) as work:
        wait_ready(server, 2)
        time.sleep(2)
        rest = [pss_bytes(process) for process in work.workers()]
        results.note("a process at rest, PSS", max(rest) / 1e6, 45, at_most=True, unit="MB")
        enqueue(server, "Sleep", [WAITING_SECONDS] * waiting)
        client = gresque.Client(server.url)
        wait_for(lambda: client.size("bench") == 0, 30, "the jobs were not taken")
        time.sleep(3)
        busy = [pss_bytes(process) for process in work.workers()]
        growth = (sum(busy) - sum(rest)) / waiting
        results.note("a job that waits", growth / 1e3, 16, at_most=True, unit="kB")


def deep_queue(server: Server, results: Results, scale: float) -> None:
    """A queue of 5,000,000 jobs: as fast as a short one, and no larger after it. The machine's own
    speed wanders; the short one is measured before and after it, the deep one over its first
    half."""
    jobs, deep = int(JOBS * scale), int(DEEP_JOBS * scale)
    short = [rate(server, ["bench"], jobs)]
    server.empty()
    enqueue(server, "Noop", range(deep))
    found, early = Rate(), 0
    with gresque_work(server) as work:
        while found.last[1] < deep // 2:
            found.note(server.processed())
            if not early and found.last[1] >= jobs:
                early = max(pss_bytes(process) for process in work.workers())
            time.sleep(0.01)
        wait_for(lambda: server.processed() >= deep, 300, "too slow")
        late = max(pss_bytes(process) for process in work.workers())
    short.append(rate(server, ["bench"], jobs))
    share = 100 * found.per_second / statistics.mean(short)
    results.note(f"{deep:,} jobs queued", share, 95)
    grown = (late - early) / 1e6
    results.note(f"a process after {deep:,} jobs, larger by", grown, 1.0, at_most=True, unit="MB")


if __name__ == "__main__":
    main()
