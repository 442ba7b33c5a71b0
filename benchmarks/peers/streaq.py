"""Coroutines on uvloop (`anyio_kwargs`), as many at once as the others have greenlets; no results
kept (`ttl=0`), tasks silent. `Worker.run_sync`, because the command line logs every task. One
worker serves one queue."""

from __future__ import annotations

import logging
from typing import Any

from streaq import Worker

from benchmarks.peers import body

JOBS_PER_SECOND = 4_000
MANY_QUEUES = False

worker = Worker(
    redis_url=body.REDIS_URL,
    queue_name="bench",
    concurrency=body.THREADS,
    anyio_kwargs={"use_uvloop": True},
)
jobs = {
    name: worker.task(name=name, ttl=0, silent=True)(function)
    for name, function in body.ASYNC_JOBS.items()
}


def workers(processes: int, threads: int, waits: bool) -> list[list[str]]:
    return [["python", "-m", __name__]] * processes


def client() -> Any:
    return worker


async def enqueue(job: str, arguments: list[Any], queue: str) -> None:
    for first in range(0, len(arguments), 1000):
        await worker.enqueue_many(
            [jobs[job].enqueue(argument) for argument in arguments[first : first + 1000]]
        )


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    worker.run_sync()
