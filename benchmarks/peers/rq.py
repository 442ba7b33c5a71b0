"""A job at a time in each process. `worker-pool` with SimpleWorker, which does not fork for every
job; no results kept, logs quiet. For jobs that wait, more processes are all there is to turn: ten
times as many as the others have."""

from __future__ import annotations

from typing import Any

import redis
import rq

from benchmarks.peers import body

JOBS_PER_SECOND = 500
MANY_QUEUES = True

connection = redis.Redis.from_url(body.REDIS_URL)
queues = {name: rq.Queue(name, connection=connection) for name in body.QUEUES}


def workers(processes: int, threads: int, waits: bool) -> list[list[str]]:
    count = processes * 10 if waits else processes
    return [
        [
            *("rq", "worker-pool", *body.QUEUES, "-n", str(count), "-u", body.REDIS_URL),
            *("-w", "rq.worker.SimpleWorker", "--logging-level", "WARNING"),
        ]
    ]


def enqueue(job: str, arguments: list[Any], queue: str) -> None:
    function = body.JOBS[job]
    for first in range(0, len(arguments), 1000):
        queues[queue].enqueue_many(
            [
                rq.Queue.prepare_data(function, (argument,), result_ttl=0)
                for argument in arguments[first : first + 1000]
            ]
        )
