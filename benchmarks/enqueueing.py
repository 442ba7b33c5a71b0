"""How fast jobs are enqueued, one by one and in bulk; by one process, from one thread.

    python -m benchmarks.enqueueing

The measure for one by one is bare redis-py: the same payload, made once, with SADD and RPUSH in one
pipeline. The two take turns, a hundred jobs each, so that both meet the same machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import gresque
from benchmarks import harness
from benchmarks.harness import Results, Server
from benchmarks.jobs import noop
from gresque.jobs import payload
from gresque.jobs.ids import new_id

BLOCK = 100
BLOCKS = 200
MANY = 500_000


def main() -> None:
    options = harness.parser(__doc__).parse_args()
    server = Server(options.redis)
    results = Results("enqueueing", "jobs/s")
    for _ in range(options.runs):
        one_by_one(server, results, max(1, int(BLOCKS * options.scale)))
        in_bulk(server, results, int(MANY * options.scale))
    results.print_table()


def one_by_one(server: Server, results: Results, blocks: int) -> None:
    server.empty()
    client = gresque.Client(server.url)
    raw = payload.encode("Noop", (1,), {}, new_id())

    def ours() -> None:
        client.enqueue(noop, 1)

    def bare() -> None:
        with server.redis.pipeline(transaction=False) as pipeline:
            pipeline.sadd("resque:queues", "bench")
            pipeline.rpush("resque:queue:bench", raw)
            pipeline.execute()

    seconds = {ours: 0.0, bare: 0.0}
    for _ in range(blocks):
        for function in seconds:
            seconds[function] += timed(function)
    rate = {function: BLOCK * blocks / spent for function, spent in seconds.items()}
    results.note("enqueue", rate[ours])
    results.note("bare redis-py", rate[bare])
    results.note("enqueue, of bare redis-py", 100 * rate[ours] / rate[bare], 90, unit="%")


def timed(function: Callable[[], None]) -> float:
    started = time.perf_counter()
    for _ in range(BLOCK):
        function()
    return time.perf_counter() - started


def in_bulk(server: Server, results: Results, jobs: int) -> None:
    server.empty()
    client = gresque.Client(server.url)
    started = time.perf_counter()
    client.enqueue_many(noop, ((number,) for number in range(jobs)))
    results.note("enqueue_many", jobs / (time.perf_counter() - started), 250_000)


if __name__ == "__main__":
    main()
