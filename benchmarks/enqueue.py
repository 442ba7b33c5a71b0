"""Enqueues per second, beside a bare redis-py client that pushes the same payloads.

    python benchmarks/enqueue.py                 # 5 rounds, alternating
    python benchmarks/enqueue.py --gevent        # in a program that gevent has patched

`enqueue` is measured against one pipelined SADD and RPUSH for each job, which is what a program
without gresque would do; its payloads are made beforehand, while gresque makes its own. Redis runs
on the same machine. One JSON line on stdout, a table of medians on stderr.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable

if "--gevent" in sys.argv:
    from gevent import monkey

    monkey.patch_all()

import redis

import gresque
from gresque.jobs import payload
from gresque.store.url import resolve_url

ARGUMENTS = (42, "two", {"three": 3})


@gresque.job(queue="bench", name="Noop")
def noop(*args: object) -> None: ...


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=10_000, help="in each round, one by one")
    parser.add_argument("--bulk", type=int, default=300_000, help="in each round, by enqueue_many")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--gevent", action="store_true", help="patch the standard library first")
    parser.add_argument("--floor", type=float, help="exit 1 when enqueue is under this x redis-py")
    parser.add_argument("--redis", default="embedded://", help="flushed before every run!")
    options = parser.parse_args()
    url = resolve_url(options.redis)
    store, client = redis.Redis.from_url(url), gresque.Client(url)
    ways: dict[str, tuple[int, Callable[[int], None]]] = {
        "redis-py, pipelined SADD and RPUSH": (options.jobs, lambda jobs: bare(store, jobs)),
        "enqueue": (options.jobs, lambda jobs: one_by_one(client, jobs)),
        "enqueue_many": (options.bulk, lambda jobs: in_bulk(client, jobs)),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, (jobs, push) in ways.items():
            store.flushall()
            started = time.perf_counter()
            push(jobs)
            rates[name].append(jobs / (time.perf_counter() - started))
            if store.llen("resque:queue:bench") != jobs:
                sys.exit(f"{name}: {store.llen('resque:queue:bench'):,} of {jobs:,} jobs arrived")
    medians = {name: statistics.median(found) for name, found in rates.items()}
    plain, enqueue, _ = medians.values()
    print(json.dumps({n: round(rate) for n, rate in medians.items()} | {"ratio": enqueue / plain}))
    for name, rate in medians.items():
        print(f"{name:36}{rate:>12,.0f} jobs/s", file=sys.stderr)
    print(f"enqueue is {enqueue / plain:.2f} x redis-py", file=sys.stderr)
    if options.floor is not None and enqueue < options.floor * plain:
        sys.exit(f"under {options.floor} x redis-py")


def bare(store: redis.Redis, jobs: int) -> None:
    raws = [payload.encode("Noop", ARGUMENTS, {}, payload.new_id()) for _ in range(jobs)]
    for raw in raws:
        pipeline = store.pipeline(transaction=False)
        pipeline.sadd("resque:queues", "bench")
        pipeline.rpush("resque:queue:bench", raw)
        pipeline.execute()


def one_by_one(client: gresque.Client, jobs: int) -> None:
    for _ in range(jobs):
        client.enqueue(noop, *ARGUMENTS)


def in_bulk(client: gresque.Client, jobs: int) -> None:
    client.enqueue_many(noop, (ARGUMENTS for _ in range(jobs)))


if __name__ == "__main__":
    main()
