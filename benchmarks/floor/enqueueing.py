"""`enqueue` in turns with a redis-py pipeline of SADD and RPUSH of payloads that were made before,
and `enqueue_many` in turns with an RPUSH of 1,000 payloads, made by `json.dumps` as by a program
that pushes them itself.

    python -m benchmarks.floor.enqueueing one|many BLOCKS
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import redis

import gresque
from benchmarks.floor.jobs import noop
from benchmarks.peers import body

BLOCK = 500
BULK = 1000

server = redis.Redis.from_url(body.REDIS_URL)
client = gresque.Client(body.REDIS_URL)
numbers = [(number,) for number in range(BULK)]


def payload(number: int) -> str:
    return json.dumps(
        {"class": "noop", "args": [number], "id": f"{number:032x}", "generation": 1},
        separators=(",", ":"),
    )


raws = [payload(number) for number in range(BLOCK)]


def enqueue() -> None:
    for number in range(BLOCK):
        client.enqueue(noop, number)


def pipeline() -> None:
    for number in range(BLOCK):
        with server.pipeline(transaction=False) as pipe:
            pipe.sadd("resque:queues", "floors")
            pipe.rpush("resque:queue:floors", raws[number])
            pipe.execute()


def enqueue_many() -> None:
    client.enqueue_many(noop, numbers)


def rpush() -> None:
    server.rpush("resque:queue:floors", *[payload(number) for number in range(BULK)])


def cost(function: Callable[[], None], jobs: int) -> tuple[float, float]:
    """µs a job: wall, and CPU of the server."""
    served, started = server_seconds(), time.perf_counter()
    function()
    wall = time.perf_counter() - started
    return 1e6 * wall / jobs, 1e6 * (server_seconds() - served) / jobs


def server_seconds() -> float:
    info = server.info("cpu")
    return float(info["used_cpu_user"] + info["used_cpu_sys"])


def main(what: str, blocks: int) -> None:
    ours, bare, jobs = (enqueue, pipeline, BLOCK) if what == "one" else (enqueue_many, rpush, BULK)
    found: dict[str, list[tuple[float, float]]] = {"ours": [], "floor": []}
    for block in range(-1, blocks):
        for name, function in (("ours", ours), ("floor", bare)):
            measured = cost(function, jobs)
            if block >= 0:
                found[name].append(measured)
        server.delete("resque:queue:floors")
    means = {
        name: [sum(values) / len(values) for values in zip(*each, strict=True)]
        for name, each in found.items()
    }
    print(json.dumps(means))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
