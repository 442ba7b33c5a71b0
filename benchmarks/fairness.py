"""Does a process reserve only what it can start now? Jobs that burn 10 ms of CPU each.

    python -m benchmarks.fairness

150 such jobs and two processes of 100 greenlets: both processes should finish together. And a job
of a higher queue that comes meanwhile should start soon, not behind what was reserved before it.
"""

from __future__ import annotations

import time

import gresque
from benchmarks import harness
from benchmarks.harness import Counts, Results, Server, enqueue, gresque_work, wait_for

JOBS = 150
SECONDS = 0.01
HIGH_AFTER = range(30, 130, 20)
"""After this number of other jobs one of the higher queue comes: not among the first, of which a
new process takes eight before it knows what they cost."""


def main() -> None:
    options = harness.parser(__doc__).parse_args()
    server = Server(options.redis)
    results = Results("fairness", "ms")
    for _ in range(options.runs):
        spread, waits = run(server)
        results.note("end of one process before the other's", spread, 15, at_most=True, unit="%")
        results.note(
            "a job of a higher queue waits, median", harness.percentile(waits, 50), 50, at_most=True
        )
        results.note("a job of a higher queue waits, longest", max(waits), 50, at_most=True)
    results.print_table()


def run(server: Server) -> tuple[float, list[float]]:
    """By how many % of the whole time one process ended before the other, and how many ms each
    high-priority job waited."""
    server.empty()
    counts = Counts()
    client = gresque.Client(server.url)
    enqueue(server, "Burn", [SECONDS] * JOBS, queue="low")
    sent: list[float] = []
    seen: dict[int, tuple[int, float]] = {}
    with gresque_work(server, queues="high,low", counts=counts):
        wait_for(counts.total, 30, "no job was done")
        started = time.monotonic()
        while counts.total() < JOBS:
            now = time.monotonic()
            for process, count in enumerate(counts.by_process()):
                if seen.get(process, (0, 0.0))[0] != count:
                    seen[process] = count, now
            if len(sent) < len(HIGH_AFTER) and counts.total() >= HIGH_AFTER[len(sent)]:
                sent.append(time.monotonic())
                client.enqueue_to("high", "Start", len(sent) - 1)
            time.sleep(0.002)
            if now - started > 60:
                raise SystemExit(f"only {counts.total()} of {JOBS} jobs done in 60 s")
        ended = time.monotonic()
    ends = [at for count, at in seen.values() if count]
    spread = 100 * (max(ends) - min(ends)) / (ended - started) if len(ends) == 2 else 100.0
    waits = [1000 * (counts.started_at(number) - at) for number, at in enumerate(sent)]
    return spread, waits


if __name__ == "__main__":
    main()
