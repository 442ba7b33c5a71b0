"""How an event loop fares that enqueues: its lag at 2,000 enqueues a second, in a bulk, while Redis
is away, and while a thousand tasks wait for results.

    python -m benchmarks.event_loop

Requests come at random, as to a web program, and each enqueues one job in a task of its own. The
measure of the lag is a timer of a millisecond: how much later than asked it was called. The same
requests without an enqueue, alternating, show what the machine adds.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count

import gresque
import gresque.aio
from benchmarks import harness
from benchmarks.harness import Results, Server
from benchmarks.jobs import noop

RATE = 2000
SECONDS = 8.0
BULK = 200_000
ONE_BY_ONE = 5000
WAITERS = 1000
TICK_SECONDS = 0.001


class Lag:
    """A timer that is set again and again on the running loop."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._loop = asyncio.get_running_loop()
        self._set()

    def _set(self) -> None:
        self._due = self._loop.time() + TICK_SECONDS
        self._timer = self._loop.call_at(self._due, self._note)

    def _note(self) -> None:
        self.seconds.append(self._loop.time() - self._due)
        self._set()

    def stop(self) -> Lag:
        self._timer.cancel()
        self.seconds.sort()
        return self

    def ms(self, part: float) -> float:
        return 1000 * self.seconds[min(int(len(self.seconds) * part), len(self.seconds) - 1)]


def main() -> None:
    options = harness.parser(__doc__).parse_args()
    server = Server(options.redis)
    results = Results("event_loop", "ms")
    for _ in range(options.runs):
        server.empty()
        asyncio.run(requests(server, results, SECONDS * options.scale))
        asyncio.run(bulk(server, results, int(BULK * options.scale)))
        asyncio.run(away(results))
        asyncio.run(results_of_jobs(server, results, max(1, int(WAITERS * options.scale))))
        asyncio.run(one_by_one(server, results, int(ONE_BY_ONE * options.scale)))
    results.print_table()


async def requests(server: Server, results: Results, seconds: float) -> None:
    async with gresque.aio.Client(server.url) as client:
        await client.aenqueue(noop, 0)

        lag, took, cpu = await serve(lambda number: client.aenqueue(noop, number), seconds)
        plain, _, plain_cpu = await serve(lambda _: asyncio.sleep(0), seconds)
    results.note(f"{RATE:,} enqueues/s, lag p50", lag.ms(0.5))
    results.note(f"{RATE:,} enqueues/s, lag p99", lag.ms(0.99), 5.0, at_most=True)
    results.note(f"{RATE:,} enqueues/s, lag longest", lag.ms(1))
    results.note(f"{RATE:,} enqueues/s, aenqueue p50", 1000 * took[len(took) // 2])
    results.note(f"{RATE:,} enqueues/s, aenqueue p99", 1000 * took[len(took) * 99 // 100])
    results.note("the same requests without, lag p99", plain.ms(0.99))
    results.note("CPU of an aenqueue", 1_000_000 * (cpu - plain_cpu) / len(took), unit="µs")


async def serve(
    handle: Callable[[int], Awaitable[object]], seconds: float
) -> tuple[Lag, list[float], float]:
    """The lag, how long each request took, and the CPU seconds of all."""
    chance, took, tasks = random.Random(7), [], set()
    loop = asyncio.get_running_loop()

    async def request(number: int) -> None:
        started = loop.time()
        await handle(number)
        took.append(loop.time() - started)

    lag, cpu, now = Lag(), time.process_time(), loop.time()
    until, due = now + seconds, now
    for number in count():
        due += chance.expovariate(RATE)
        if due > until:
            break
        if due > loop.time():
            await asyncio.sleep(due - loop.time())
        tasks.add(task := asyncio.create_task(request(number)))
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    return lag.stop(), sorted(took), time.process_time() - cpu


async def bulk(server: Server, results: Results, jobs: int) -> None:
    async with gresque.aio.Client(server.url) as client:
        await client.aenqueue(noop, 0)
        lag, started = Lag(), time.perf_counter()
        await client.aenqueue_many(noop, ((number,) for number in range(jobs)))
        results.note("aenqueue_many", jobs / (time.perf_counter() - started), unit="jobs/s")
        results.note("aenqueue_many, lag p99", lag.stop().ms(0.99))
        results.note("aenqueue_many, lag longest", lag.ms(1))


async def away(results: Results) -> None:
    """Hundred tasks push to a server that is not there, for two seconds."""
    client = gresque.aio.Client("redis://127.0.0.1:1", retry_seconds=2)

    async def push() -> None:
        with suppress(gresque.NotEnqueued):
            await client.aenqueue(noop, 0)

    await push()
    lag, started = Lag(), time.perf_counter()
    await asyncio.gather(*(push() for _ in range(100)))
    seconds = time.perf_counter() - started
    results.note("Redis away, error after", seconds, 4.5, at_most=True, unit="s")
    results.note("Redis away, lag p99", lag.stop().ms(0.99), 5.0, at_most=True)
    results.note("Redis away, lag longest", lag.ms(1))


async def results_of_jobs(server: Server, results: Results, waiters: int) -> None:
    """From the end of a job, which another process writes, to the task that waits for it."""
    ids = [f"bench{number}" for number in range(waiters)]
    for job_id in ids:
        server.redis.hset(f"resque:job:{job_id}", mapping={"s": "running", "c": "t", "q": "bench"})
    took = []

    async def wait(client: gresque.aio.Client, job_id: str) -> None:
        ended_at = await client.aresult(job_id, timeout=60)
        took.append(time.time() - ended_at)

    async with gresque.aio.Client(server.url) as client:
        tasks = [asyncio.create_task(wait(client, job_id)) for job_id in ids]
        await asyncio.sleep(0.5)
        ending = subprocess.Popen([sys.executable, "-c", END_THEM, server.url, str(waiters)])
        lag = Lag()
        await asyncio.gather(*tasks)
        lag.stop()
        ending.wait()
    took.sort()
    results.note(f"{waiters:,} tasks wait, end to return p50", 1000 * took[len(took) // 2])
    p99 = 1000 * took[len(took) * 99 // 100]
    results.note(f"{waiters:,} tasks wait, end to return p99", p99, 20.0, at_most=True)
    results.note(f"{waiters:,} tasks wait, lag p99", lag.ms(0.99))


END_THEM = """
import json, sys, time, redis
client = redis.Redis.from_url(sys.argv[1])
for number in range(int(sys.argv[2])):
    details = json.dumps({"value": time.time()})
    client.hset(f"resque:job:bench{number}", mapping={"s": "done", "d": details})
    time.sleep(0.001)
"""


async def one_by_one(server: Server, results: Results, jobs: int) -> None:
    blocking = gresque.Client(server.url)
    blocking.enqueue(noop, 0)
    started = time.perf_counter()
    for number in range(jobs):
        blocking.enqueue(noop, number)
    rate = jobs / (time.perf_counter() - started)
    async with gresque.aio.Client(server.url) as client:
        await client.aenqueue(noop, 0)
        started = time.perf_counter()
        for number in range(jobs):
            await client.aenqueue(noop, number)
        own = jobs / (time.perf_counter() - started)
    results.note("one task, one after the other", own, unit="jobs/s")
    results.note("one task, of the blocking client", 100 * own / rate, unit="%")


if __name__ == "__main__":
    main()
