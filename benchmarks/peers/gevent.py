"""No queue at all: as many greenlets, each of which does the next job until all are done. What the
others' HTTP jobs can be measured against."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402
import time  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
import redis  # noqa: E402

from benchmarks.peers import body  # noqa: E402

JOBS_PER_SECOND = 1_000_000
MANY_QUEUES = False

server = redis.Redis.from_url(body.REDIS_URL)


def workers(processes: int, threads: int, waits: bool) -> list[list[str]]:
    return [["python", "-m", __name__, str(processes), str(threads)]] * processes


def enqueue(job: str, arguments: list[Any], queue: str) -> None:
    server.hset("plain", mapping={"job": job, "count": len(arguments), "argument": arguments[0]})


def work(processes: int, threads: int) -> None:
    task = server.hgetall("plain")
    job, argument = body.JOBS[task[b"job"].decode()], task[b"argument"].decode()
    numbers = iter(range(int(task[b"count"]) // processes))

    def loop() -> None:
        for _ in numbers:
            job(argument)

    gevent.joinall([gevent.spawn(loop) for _ in range(threads)])
    time.sleep(60)  # the bench ends it


if __name__ == "__main__":
    work(int(sys.argv[1]), int(sys.argv[2]))
