"""What the tests of limits and of unique jobs share."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psutil
import redis

from benchmarks.observer import Observer
from tests.process.support import Bench, Master

JOBS = "tests.process.flow_jobs"
LONG_LIVED = ("-j", "100000", "-r", JOBS)
DEATHS_ARE_NO_FAULT = {"MAX_RECOVERIES": "0"}


def connection(bench: Bench) -> redis.Redis:
    """One of its own."""
    return redis.Redis.from_url(bench.redis_url)


def observer(bench: Bench) -> Observer:
    return Observer(connection(bench), bench.namespace)


def kill_one(master: Master) -> bool:
    """SIGKILL to one of its worker processes."""
    with suppress(psutil.NoSuchProcess):
        children = master.children()
        if children:
            random.choice(children).kill()
            return True
    return False


@contextmanager
def kills(master: Master, every: float) -> Iterator[list[float]]:
    """Kill its worker processes meanwhile; the list has the times."""
    at: list[float] = []
    stop = threading.Event()

    def kill() -> None:
        while not stop.wait(every * random.uniform(0.5, 1.5)):
            if kill_one(master):
                at.append(time.monotonic())

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield at
    finally:
        stop.set()
        thread.join()


@contextmanager
def meanwhile(act: Callable[[], None], pause_seconds: float = 0.0) -> Iterator[None]:
    """Repeat this in a thread, each time after a pause; an error of it ends the test."""
    stop = threading.Event()
    errors: list[BaseException] = []

    def repeat() -> None:
        try:
            while not stop.wait(pause_seconds):
                act()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if errors:
        raise errors[0]


def keep_full(bench: Bench, queue: str, jobs: int, *args: object, job: str = "Nap") -> None:
    """Enqueue until there are that many, for `meanwhile`."""
    waiting = bench.client.size(queue)
    if waiting < jobs:
        bench.client.enqueue_many(job, [args] * (jobs - waiting), queue=queue)
    time.sleep(0.02)


def end_well(master: Master) -> None:
    master.signal(signal.SIGTERM)
    assert master.wait(60) == 0, master.log
