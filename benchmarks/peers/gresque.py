"""Worker processes are never replaced (JOBS_PER_FORK without end), as the peers' are not; all
else is as it comes: the ledger on, JSON payloads, hooks and signals ready. `enqueue_many` sends a
thousand jobs in one round trip."""

from __future__ import annotations

import json
import os
from typing import Any

import gresque
from benchmarks.peers import body

JOBS_PER_SECOND = 400_000
MANY_QUEUES = True

gresque.configure(redis_url=body.REDIS_URL)

jobs = {
    name: gresque.job(queue="bench", name=name)(function)
    for name, function in {**body.JOBS, "fetch_pooled": body.fetch_pooled}.items()
}


def workers(processes: int, threads: int, waits: bool) -> list[list[str]]:
    return [
        [
            *("gresque", "work", "-q", os.environ["BENCH_WATCH"], "-r", __name__),
            *("-w", str(processes), "-t", str(threads), "-j", "1000000000"),
        ]
    ]


def enqueue(job: str, arguments: list[Any], queue: str) -> None:
    if len(arguments) == 1:
        gresque.enqueue_to(queue, jobs[job], *arguments)
    else:
        gresque.enqueue_many(jobs[job], ((argument,) for argument in arguments), queue=queue)


async def enqueue_plainly(job: str, arguments: list[Any], queue: str) -> None:
    """As Resque of Ruby does: the queue's name into a set and the payload into a list, in one
    pipeline."""
    pipeline = gresque.default_client().store.redis.pipeline(transaction=False)
    pipeline.sadd("resque:queues", queue)
    pipeline.rpush(f"resque:queue:{queue}", json.dumps({"class": job, "args": arguments}))
    pipeline.execute()
