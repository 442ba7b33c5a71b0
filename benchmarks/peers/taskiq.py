"""Coroutines on uvloop, which taskiq takes where it is installed. The list broker, the faster one
of taskiq-redis; it takes a message from its list before the task runs, so that a task whose process
dies is lost. Parameters are not parsed again (`--no-parse`), no results, as many tasks at once as
the others have greenlets. No socket timeout: that of redis-py 8 cuts its blocking pop off after
5 s, and the worker dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from taskiq_redis import ListQueueBroker

from benchmarks.peers import body

JOBS_PER_SECOND = 6_000
MANY_QUEUES = False

broker = ListQueueBroker(body.REDIS_URL, queue_name="bench", socket_timeout=None)
jobs = {
    name: broker.register_task(function, task_name=name)
    for name, function in body.ASYNC_JOBS.items()
}


def workers(processes: int, threads: int, waits: bool) -> list[list[str]]:
    return [
        [
            *("taskiq", "worker", f"{__name__}:broker", "--workers", str(processes)),
            *("--max-async-tasks", str(threads), "--max-prefetch", str(threads)),
            *("--no-parse", "--log-level", "WARNING"),
        ]
    ]


@asynccontextmanager
async def client() -> AsyncIterator[None]:
    await broker.startup()
    yield
    await broker.shutdown()


async def enqueue(job: str, arguments: list[Any], queue: str) -> None:
    for first in range(0, len(arguments), 100):
        await asyncio.gather(
            *(jobs[job].kiq(argument) for argument in arguments[first : first + 100])
        )
