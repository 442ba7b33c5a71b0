"""Results while the server comes and goes: no wrong answer, and no wait without an end."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import gresque
from tests.process import tracked_jobs as jobs
from tests.process.support import Bench
from tests.support.server import OwnServer

OURS = ("-q", "q", "-r", "tests.process.tracked_jobs", "-t", "100", "-j", "100000000")
DISTURBANCES = 50
SECONDS = 300.0


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
