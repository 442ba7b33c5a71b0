"""What the jobs do, and how they are counted: the same code in every peer.

A job that has done its work adds one to a word of memory that the bench reads: each process has a
word of its own in a file that all map. That costs 0.1 µs, takes no lock, no system call and no
trip to Redis, and so neither slows a fast system nor flatters a slow one. A job of the latency
test writes when it started into a word of its own, by the clock that all processes share.
"""

from __future__ import annotations

import asyncio
import fcntl
import mmap
import os
import time
from functools import cache
from pathlib import Path
from typing import Any

PROCESSES = 1024
STAMPS = 8192
TALLY_BYTES = 8 * (1 + PROCESSES + STAMPS)
"""Words: how many processes have come, the jobs that each of them did, when which job started."""

QUEUES = os.environ.get("BENCH_QUEUES", "bench").split(",")
REDIS_URL = os.environ.get("REDIS_URL", "")
THREADS = int(os.environ.get("BENCH_THREADS", "100"))


def map_tally(path: Path) -> memoryview:
    """The words of the tally file."""
    with path.open("r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), TALLY_BYTES)).cast("Q")


class Tally:
    """This process's word. A forked child takes one of its own."""

    def __init__(self, path: Path) -> None:
        self.words = map_tally(path)
        self._path = path
        self.claim()
        os.register_at_fork(after_in_child=self.claim)

    def claim(self) -> None:
        with self._path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self.words[0] += 1
            self.word = self.words[0]

    def count(self) -> None:
        self.words[self.word] += 1


if "BENCH_TALLY" in os.environ:  # else the jobs are only declared or enqueued here
    tally = Tally(Path(os.environ["BENCH_TALLY"]))
    count = tally.count


def noop(number: int) -> None:
    count()


def sleep(seconds: float) -> None:
    time.sleep(seconds)
    count()


def fetch(url: str) -> None:
    """A GET as anybody writes it, with a connection of its own."""
    import requests

    requests.get(url, timeout=30).raise_for_status()
    count()


@cache
def pool() -> Any:
    import urllib3

    return urllib3.PoolManager(maxsize=THREADS)


def fetch_pooled(url: str) -> None:
    """A GET over connections that the process keeps open."""
    assert pool().request("GET", url, timeout=30).status == 200
    count()


def start(number: int) -> None:
    tally.words[1 + PROCESSES + number] = time.monotonic_ns()


async def async_noop(number: int) -> None:
    count()


async def async_sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)
    count()


@cache
def session() -> Any:
    """One for each process: aiohttp's own advice."""
    import aiohttp

    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))


async def async_fetch(url: str) -> None:
    async with session().get(url) as response:
        response.raise_for_status()
        await response.read()
    count()


async def async_start(number: int) -> None:
    start(number)


JOBS = {
    "noop": noop,
    "sleep": sleep,
    "fetch": fetch,
    "start": start,
}
ASYNC_JOBS = {
    "noop": async_noop,
    "sleep": async_sleep,
    "fetch": async_fetch,
    "start": async_start,
}
