"""What limits and unique jobs cost, and how well a cap is used.

    python -m benchmarks.flow

Everything is measured beside the same without it, in turns; what is noted is the ratio.

1. A cap of 20: jobs a second of what it allows, with four processes that compete for it, and of
   what 20 threads do without a cap. These take the next job from a reserve, and no cap can: what
   is in reserve would count.
2. Policies: no-op jobs of a queue without any, with a policy on another queue, with a cap that is
   never reached, and with a rate that is never reached.
3. Unique jobs: enqueueing them, one by one and in bulk, and working them off. One whose lock ends
   at its start (`queued`) takes a trip before it starts, all that are reserved together share it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gresque
from benchmarks import harness
from benchmarks.enqueueing import BLOCK, timed
from benchmarks.harness import Results, Server, drain, gresque_work, wait_for, wait_ready
from benchmarks.jobs import noop, unique_both, unique_queued

JOBS = 300_000
UNIQUE_JOBS = 40_000
BLOCKS = 20
PAIRS = 6
"""Of runs with a policy and without one: two equal runs differ by up to a third."""
CAP, PROCESSES = 20, 4
SETTLE = 100
"""Jobs at the start and at the end that are not timed."""

Policy = Callable[[gresque.Client], None]
POLICIES: dict[str, Policy] = {
    "a policy on another queue": lambda client: client.limit("other", concurrent=5),
    "a cap, never reached": lambda client: client.limit("bench", concurrent=1_000_000),
    "a rate, never reached": lambda client: client.limit("bench", rate="1000000/s", burst=100_000),
}


def main() -> None:
    options = harness.parser(__doc__).parse_args()
    server = Server(options.redis)
    results = Results("flow", "%")
    for _ in range(options.runs):
        for seconds in (0.05, 0.01, 0.001):
            cap(server, results, seconds, options.scale)
        policies(server, results, int(JOBS * options.scale))
        enqueueing(server, results, max(1, int(BLOCKS * options.scale)))
        working(server, results, int(UNIQUE_JOBS * options.scale))
    results.print_table()


def cap(server: Server, results: Results, seconds: float, scale: float) -> None:
    ideal = CAP / seconds
    jobs = 4 * SETTLE + int(min(8 * ideal, 40_000) * scale)
    rate = rate_of_naps(server, seconds, jobs, threads=100, cap=CAP)
    floor = rate_of_naps(server, seconds, jobs, threads=CAP // PROCESSES)
    name = f"a cap of {CAP}, jobs of {1000 * seconds:.0f} ms"
    goal = 90 if seconds >= 0.05 else None  # else the trip between two jobs is what counts
    results.note(f"{name}: of what it allows", 100 * rate / ideal, goal)
    results.note(f"{name}: of as many threads", 100 * rate / floor, None)


def rate_of_naps(
    server: Server, seconds: float, jobs: int, *, threads: int, cap: int | None = None
) -> float:
    """Jobs a second of four processes with this number of threads each."""
    server.empty()
    client = gresque.Client(server.url)
    if cap is not None:
        client.limit("bench", concurrent=cap)
    with gresque_work(server, workers=PROCESSES, threads=threads):
        wait_ready(server, PROCESSES)
        client.enqueue_many("Sleep", ((seconds,) for _ in range(jobs)), queue="bench")
        wait_for(lambda: server.processed() >= SETTLE, 60, "no job was done")
        started, before = time.monotonic(), server.processed()
        wait_for(lambda: server.processed() >= jobs - SETTLE, 120, "the jobs were not done")
        return (server.processed() - before) / (time.monotonic() - started)


def policies(server: Server, results: Results, jobs: int) -> None:
    for name, policy in POLICIES.items():
        for number in range(PAIRS):
            # Which of a pair comes first makes a difference of some percent on a busy machine.
            order = (None, policy) if number % 2 else (policy, None)
            rates = {each: rate_of(server, "Noop", jobs, each) for each in order}
            share = 100 * rates[policy] / rates[None]
            results.note(f"no-op 2x100, {name}: of without", share, 91)


def rate_of(server: Server, job: Any, jobs: int, policy: Policy | None = None) -> float:
    """Jobs a second."""
    server.empty()
    client = gresque.Client(server.url)
    if policy is not None:
        policy(client)
    client.enqueue_many(job, ((number,) for number in range(jobs)), queue="bench")
    with gresque_work(server, options=["--burst"]) as work:
        return drain(server, work, jobs).per_second


def enqueueing(server: Server, results: Results, blocks: int) -> None:
    server.empty()
    client = gresque.Client(server.url)
    number = iter(range(10**9))
    ways: dict[str, Callable[[], object]] = {
        "plain": lambda: client.enqueue(noop, next(number)),
        "unique": lambda: client.enqueue(unique_both, next(number)),
        "a duplicate": lambda: client.enqueue(unique_both, -1),
    }
    seconds = dict.fromkeys(ways, 0.0)
    for _ in range(blocks):
        for name, way in ways.items():
            seconds[name] += timed(way)  # type: ignore[arg-type]
    plain = seconds.pop("plain")
    for name, spent in seconds.items():
        results.note(f"enqueue, {name}: of plain", spent / plain, unit="×")
    in_bulk(client, results, 10 * BLOCK * blocks)


def in_bulk(client: gresque.Client, results: Results, jobs: int) -> None:
    spent = {}
    for name, job in (("plain", noop), ("unique", unique_both)):
        started = time.perf_counter()
        client.enqueue_many(job, ((-2 - number,) for number in range(jobs)))
        spent[name] = time.perf_counter() - started
    results.note("enqueue_many, unique: of plain", spent["unique"] / spent["plain"], unit="×")


def working(server: Server, results: Results, jobs: int) -> None:
    """Run jobs that were enqueued before."""
    plain = rate_of(server, noop, jobs)
    for name, job in (("both", unique_both), ("queued", unique_queued)):
        rate = rate_of(server, job, jobs)
        results.note(f"work 2x100, unique {name}: time of plain", plain / rate, unit="×")


if __name__ == "__main__":
    main()
