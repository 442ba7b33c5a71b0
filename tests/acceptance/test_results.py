"""Results while the server comes and goes: no wrong answer, and no wait without an end."""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path

import gresque
from tests.process import tracked_jobs as jobs
from tests.process.support import Bench, wait_for
from tests.support.server import OwnServer

OURS = ("-q", "q", "-r", "tests.process.tracked_jobs", "-t", "100", "-j", "100000000")
DISTURBANCES = 50
SECONDS = 300.0
JOBS = int(os.environ.get("TRACKED_JOBS", "1000000"))
AT_ONCE, MOST_WAITING = 5_000, 20_000
TTL_SECONDS, GONE_SECONDS = 10, 15
OTHER_KEYS = 100
"""Of metrics, for the most part."""
LEFT_BYTES = 8 << 20
GROWTH = 1.25
"""Of what is held at once: the rate of the machine is not the same at each moment."""


def test_fifty_restarts_and_cuts_while_thousands_wait(tmp_path: Path) -> None:
    """Everybody has the answer to its own question, and nobody waits for ever."""
    own = OwnServer(tmp_path, "--appendonly", "yes", "--appendfsync", "always").start()
    bench = Bench(own.url, own.redis, tmp_path)
    client = gresque.Client(own.url, retry_seconds=60)
    wrong: list[object] = []

    def ask(first: int) -> None:
        for number in range(first, first + 20):
            try:
                job_id = client.enqueue(jobs.add, number, 1)
                found = client.result(str(job_id), timeout=SECONDS)
                if found != {"sum": number + 1}:
                    wrong.append((number, found))
            except Exception as error:
                wrong.append((number, error))
            time.sleep(random.random())

    try:
        bench.start(*OURS)
        asking = [threading.Thread(target=ask, args=(1000 * each,)) for each in range(200)]
        for thread in asking:
            thread.start()
        for disturbance in range(DISTURBANCES):
            time.sleep(random.uniform(0.1, 0.6))
            if disturbance % 5 == 4:
                own.kill()
                own.start()
            else:
                own.redis.client_kill_filter(_type="normal", skipme=True)
        for thread in asking:
            thread.join(SECONDS)
            assert not thread.is_alive()
        assert not wrong
    finally:
        bench.close()
        client.close()
        own.kill()


def test_the_memory_of_a_million_tracked_jobs_stays_flat(tmp_path: Path) -> None:
    """It is bounded by how many end within the time that results are kept, in the server and in the
    worker; afterwards nothing is left."""
    own = OwnServer(tmp_path).start()
    bench = Bench(own.url, own.redis, tmp_path)
    job = bench.client.options(jobs.add, track=TTL_SECONDS)
    used: list[int] = []
    rss: list[int] = []

    def held() -> int:
        return int(own.redis.info("memory")["used_memory"])

    try:
        master = bench.start(*OURS)
        job.enqueue_many([(number, 1) for number in range(AT_ONCE)])
        wait_for(lambda: bench.stat("processed") == AT_ONCE)
        wait_for(lambda: not own.redis.keys("resque:job:*"), seconds=SECONDS)
        (worker,) = master.children()
        keys, before, began = own.redis.dbsize(), held(), time.monotonic()
        for first in range(0, JOBS, AT_ONCE):
            job.enqueue_many([(number, 1) for number in range(first, first + AT_ONCE)])
            wait_for(lambda: own.redis.llen("resque:queue:q") < MOST_WAITING, seconds=SECONDS)
            if time.monotonic() - began > TTL_SECONDS:
                used.append(held())
                rss.append(worker.memory_info().rss)
        wait_for(lambda: bench.stat("processed") == JOBS + AT_ONCE, seconds=SECONDS)
        ended = time.monotonic()
        wait_for(lambda: own.redis.dbsize() <= keys + OTHER_KEYS, seconds=GONE_SECONDS)
        wait_for(lambda: not own.redis.keys("resque:job:*"), seconds=GONE_SECONDS)
        gone = time.monotonic() - ended
        left = held() - before
        print(
            f"{JOBS:,} jobs in {ended - began:.0f} s; most held {max(used) >> 20} MB, first "
            f"{used[0] >> 20}, last {used[-1] >> 20}; all gone {gone:.1f} s after the last end, "
            f"{left >> 10} kB more than before; worker {rss[0] >> 20} to {rss[-1] >> 20} MB"
        )
        assert gone <= GONE_SECONDS
        assert left < LEFT_BYTES
        half = len(used) // 2
        assert max(used[half:]) < GROWTH * max(used[:half])
        assert rss[-1] < GROWTH * rss[0]
        assert not bench.failed()
    finally:
        bench.close()
        own.kill()
