"""Coroutines, as many at once as the others have greenlets; results are not kept. It polls:
`poll_delay` is 0.01 s instead of 0.5, for throughput and pick-up both hang on it, and that is paid
for when idle. `run_worker`, because the command line logs every job. One worker serves one
queue."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import arq
from arq.connections import RedisSettings

from benchmarks.peers import body

JOBS_PER_SECOND = 1_500
MANY_QUEUES = False

redis: arq.ArqRedis


def adapted(name: str) -> Any:
    """arq passes a context."""
    function = body.ASYNC_JOBS[name]

    async def job(ctx: Any, argument: Any) -> None:
        await function(argument)

    return arq.worker.func(job, name=name, keep_result=0)


class WorkerSettings:
    functions = tuple(adapted(name) for name in body.ASYNC_JOBS)
    redis_settings = RedisSettings.from_dsn(body.REDIS_URL)
    max_jobs = body.THREADS
    poll_delay = 0.01
    keep_result = 0
    log_results = False


def workers(processes: int, threads: int, waits: bool) -> list[list[str]]:
    return [["python", "-m", __name__]] * processes


@asynccontextmanager
async def client() -> AsyncIterator[None]:
    global redis
    redis = await arq.create_pool(WorkerSettings.redis_settings)
    yield
    await redis.aclose()


async def enqueue(job: str, arguments: list[Any], queue: str) -> None:
    for first in range(0, len(arguments), 50):
        await asyncio.gather(
            *(redis.enqueue_job(job, argument) for argument in arguments[first : first + 50])
        )


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    arq.run_worker(WorkerSettings)
