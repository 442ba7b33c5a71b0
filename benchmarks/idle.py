"""What a worker costs that has nothing to do, and what one job costs when many are idle.

    python -m benchmarks.idle

With 200 idle processes on one Redis, one job must not have all of them look for it: the commands
that Redis executes for it are counted, beyond those that it executes anyway (heartbeats).
"""

from __future__ import annotations

import time

import gresque
from benchmarks import harness
from benchmarks.harness import (
    Counts,
    Results,
    Server,
    at_rest,
    gresque_work,
    percentile,
    wait_for,
    wait_ready,
)

IDLE_SECONDS = 10.0
MANY = 200
MANY_JOBS = 60


def main() -> None:
    options = harness.parser(__doc__).parse_args()
    server = Server(options.redis)
    results = Results("idle", "%")
    for _ in range(options.runs):
        for threads, queues in ((100, 1), (1000, 1), (100, 20)):
            rest(server, results, threads, queues, IDLE_SECONDS * options.scale)
        crowd(server, results, IDLE_SECONDS * options.scale)
    results.print_table()


def rest(server: Server, results: Results, threads: int, queues: int, seconds: float) -> None:
    """One `gresque work` with nothing to do."""
    server.empty()
    names = ",".join(f"q{n}" for n in range(queues))
    with gresque_work(server, queues=names, threads=threads) as work:
        wait_ready(server, 2)
        time.sleep(1)
        cost = at_rest(server, work, seconds)
    name = f"2 x {threads}, {queues} queue{'s' if queues > 1 else ''}"
    results.note(f"{name}: CPU", cost.cpu_percent, 1.0, at_most=True, unit="%")
    results.note(f"{name}: commands", cost.sent, 5.0, at_most=True, unit="a second")
    results.note(f"{name}: commands, those in scripts too", cost.executed, unit="a second")


def crowd(server: Server, results: Results, seconds: float) -> None:
    """200 idle processes; jobs come one at a time, and then more at once than a few can take."""
    server.empty()
    counts = Counts()
    client = gresque.Client(server.url)

    def note(what: str, value: float, goal: float, unit: str) -> None:
        results.note(f"{MANY} processes: {what}", value, goal, at_most=True, unit=unit)

    with gresque_work(server, workers=MANY, threads=10, counts=counts) as work:
        wait_ready(server, MANY, 120)
        time.sleep(5)
        cost = at_rest(server, work, seconds)
        note("commands, each", cost.sent / MANY, 5.0, "a second")
        note("CPU, each", cost.cpu_percent / MANY, 1.0, "%")
        before, started, lags = server.commands(), time.monotonic(), []
        for number in range(MANY_JOBS):
            sent = time.monotonic()
            client.enqueue_to("bench", "Start", number)
            wait_for(lambda n=number: counts.started_at(n), 10, "an idle worker started no job")
            lags.append(1000 * (counts.started_at(number) - sent))
            time.sleep(0.05)
        passed = time.monotonic() - started
        for_jobs = server.commands() - before - cost.executed * passed
        note("commands for one job, those in scripts too", for_jobs / MANY_JOBS, 100, "commands")
        for percent, goal in ((50, 1.0), (99, 5.0)):
            note(f"pick-up, p{percent}", percentile(lags, percent), goal, "ms")
        note("1,000 jobs of 50 ms at once", flood(server, client), 1.0, "s")


def flood(server: Server, client: gresque.Client) -> float:
    """More jobs at once than a few processes can take: all should come and help."""
    before, started = server.processed(), time.monotonic()
    client.enqueue_many("Sleep", ((0.05,) for _ in range(1000)), queue="bench")
    wait_for(lambda: server.processed() - before >= 1000, 30, "1,000 jobs were not done")
    return time.monotonic() - started


if __name__ == "__main__":
    main()
