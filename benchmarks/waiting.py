"""How soon who waits for a tracked job has its result, with 10,000 who wait over one connection.

    python -m benchmarks.waiting

Each waits in a greenlet of its own, for a job of its own. The time is counted from when the worker
notes the end of the job, before the turn that settles it, until the result is returned. First the
jobs become due over some seconds, then all of them at once: then the worker and the program that
waits have to share the machine, and the last results come as late as that takes.
"""

from __future__ import annotations

import sys
import time

import gevent
from gevent import monkey

import gresque
from benchmarks import harness
from benchmarks.harness import BUILD, Processes, Results, Server
from benchmarks.jobs import noop

WAITERS = 10_000
SPREAD_SECONDS = 10.0
WAIT_SECONDS = 120.0
GOAL_MS = 20.0


def main() -> None:
    monkey.patch_all(ssl=False)
    options = harness.parser(__doc__).parse_args()
    server = Server(options.redis)
    results = Results("waiting", "ms")
    waiters = max(100, int(WAITERS * options.scale))
    command = [
        *(sys.executable, "-m", "gresque", "work", "-q", "bench", "-r", "benchmarks.jobs"),
        *("-w", "1", "-t", "100", "-j", str(harness.ENDLESS)),
    ]
    for _ in range(options.runs):
        server.empty()
        log = BUILD / "logs" / "waiting.log"
        with Processes([command], {"REDIS_URL": server.url}, log):
            spread = SPREAD_SECONDS * options.scale
            measure(server, results, "due over some seconds", waiters, spread, GOAL_MS)
            measure(server, results, "all at once", waiters, 0.0, None)
    results.print_table()


def measure(
    server: Server, results: Results, name: str, waiters: int, spread: float, goal: float | None
) -> None:
    client = gresque.Client(server.url)
    delays: list[float] = []

    def wait(job_id: str) -> None:
        status = client.wait([job_id], WAIT_SECONDS)[job_id]
        delays.append(1000 * (time.time() - (status.ended_at or 0.0)))

    # The first are due when all wait.
    job = client.options(noop, queue="bench", track=60, in_=1 + waiters / 5000)
    ids = job.enqueue_many(((n,) for n in range(waiters)), spread=spread or 0.001)
    gevent.joinall([gevent.spawn(wait, str(each)) for each in ids], raise_error=True)
    tracking = [each for each in server.redis.client_list() if "t" in each["flags"]]
    connections = sum(each["cmd"] == "hmget" for each in tracking)
    delays.sort()
    for part, aim in ((0.5, None), (0.99, goal)):
        value = delays[int(part * (len(delays) - 1))]
        scenario = f"{waiters:,} wait, {name}: p{100 * part:.0f}"
        results.note(scenario, value, aim, at_most=True, connections=connections)
    client.close()


if __name__ == "__main__":
    main()
