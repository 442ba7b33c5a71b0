"""Coroutines, as many at once as the others have greenlets; hiredis, which it recommends; results
are dropped at once (`ttl=-1`), logging off (`--quiet`). One worker serves one queue."""

from __future__ import annotations

import asyncio
from typing import Any

from saq import Job, Queue

from benchmarks.peers import body

JOBS_PER_SECOND = 4_000
MANY_QUEUES = False


def adapted(name: str) -> Any:
    """SAQ passes a context, and arguments by name."""
    function = body.ASYNC_JOBS[name]

    async def job(ctx: Any, *, argument: Any) -> None:
        await function(argument)

    return name, job


queue = Queue.from_url(body.REDIS_URL, name="bench")
settings = {
    "queue": queue,
    "functions": [adapted(name) for name in body.ASYNC_JOBS],
    "concurrency": body.THREADS,
}


def workers(processes: int, threads: int, waits: bool) -> list[list[str]]:
    return [["saq", f"{__name__}.settings", "--workers", str(processes), "--quiet"]]


async def enqueue(job: str, arguments: list[Any], queue_name: str) -> None:
    for first in range(0, len(arguments), 100):
        await asyncio.gather(
            *(
                queue.enqueue(Job(job, kwargs={"argument": argument}, ttl=-1, timeout=60))
                for argument in arguments[first : first + 100]
            )
        )
