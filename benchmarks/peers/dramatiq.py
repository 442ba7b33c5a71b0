"""`dramatiq-gevent`, with the threads as greenlets; its middleware as it comes, and no results. It
prefetches twice as many messages as it has threads by itself. A connection for every thread: the
pool of redis-py 8 ends at 100 by default."""

from __future__ import annotations

from typing import Any

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker

from benchmarks.peers import body

JOBS_PER_SECOND = 8_000
MANY_QUEUES = True

broker = RedisBroker(client=redis.Redis.from_url(body.REDIS_URL, max_connections=10_000))
dramatiq.set_broker(broker)
for queue in body.QUEUES:
    broker.declare_queue(queue)
jobs = {
    name: dramatiq.actor(actor_name=name, queue_name=body.QUEUES[0])(function)
    for name, function in body.JOBS.items()
}


def workers(processes: int, threads: int, waits: bool) -> list[list[str]]:
    return [["dramatiq-gevent", __name__, "--processes", str(processes), "--threads", str(threads)]]


def enqueue(job: str, arguments: list[Any], queue: str) -> None:
    for argument in arguments:
        broker.enqueue(jobs[job].message(argument).copy(queue_name=queue))
