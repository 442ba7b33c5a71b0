"""Greenlet workers, as the guide says for tasks that wait; one consumer is one process, so there is
one for each. Blocking pops, no results, no periodic tasks, quiet. A connection for every greenlet:
the pool of redis-py 8 ends at 100 by default. One consumer serves one queue. A task that
runs when its process dies is lost."""

from gevent import monkey

monkey.patch_all()

from typing import Any  # noqa: E402

from huey import RedisHuey  # noqa: E402
from redis import ConnectionPool  # noqa: E402

from benchmarks.peers import body  # noqa: E402

JOBS_PER_SECOND = 7_000
MANY_QUEUES = False

pool = ConnectionPool.from_url(body.REDIS_URL, max_connections=10_000)
app = RedisHuey("bench", connection_pool=pool, results=False)
jobs = {name: app.task(name=name)(function) for name, function in body.JOBS.items()}


def workers(processes: int, threads: int, waits: bool) -> list[list[str]]:
    command = ["huey_consumer", f"{__name__}.app", "-k", "greenlet", "-w", str(threads), "-n", "-q"]
    return [command] * processes


def enqueue(job: str, arguments: list[Any], queue: str) -> None:
    for argument in arguments:
        jobs[job](argument)
