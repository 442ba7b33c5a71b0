"""The gevent pool runs in one process, so there is one `celery worker` for each process. From the
guide's chapter "Optimizing" and the worker's own options: many short tasks want a large prefetch
multiplier (64), results that nobody reads are ignored, rate limits and task events are off, and
gossip, mingle and heartbeats too. Acknowledged early, as by default: a task that runs when its
process dies is lost."""

from __future__ import annotations

from typing import Any

import celery

from benchmarks.peers import body

JOBS_PER_SECOND = 2_500
MANY_QUEUES = True

app = celery.Celery("bench", broker=body.REDIS_URL)
app.conf.update(
    task_ignore_result=True,
    task_create_missing_queues=True,
    worker_prefetch_multiplier=64,
    worker_disable_rate_limits=True,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
)
jobs = {name: app.task(name=name)(function) for name, function in body.JOBS.items()}


def workers(processes: int, threads: int, waits: bool) -> list[list[str]]:
    return [
        [
            *("celery", "-A", __name__, "worker", "-P", "gevent", "-c", str(threads)),
            *("-Q", ",".join(body.QUEUES), "-n", f"bench{process}@%h", "-l", "WARNING"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
        ]
        for process in range(processes)
    ]


def enqueue(job: str, arguments: list[Any], queue: str) -> None:
    with app.producer_pool.acquire(block=True) as producer:
        for argument in arguments:
            jobs[job].apply_async((argument,), queue=queue, producer=producer, retry=False)
