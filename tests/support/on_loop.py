"""The client of asyncio programs, called from a test that has no loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import gresque.aio
from gresque.aio.client import Client

T = TypeVar("T")


class OnLoop:
    """Each method runs on the loop that this has made, until it returns."""

    def __init__(self, url: str, **options: Any) -> None:
        self.runner = asyncio.Runner()
        self.client = gresque.aio.Client(url, **options)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def enqueue_to(self, queue: str, job: str, *args: Any) -> str | None:
        return self.run(self.client.aenqueue_to(queue, job, *args))

    def enqueue_many(self, job: Any, calls: Any, **options: Any) -> list[gresque.JobId]:
        return self.run(self.client.aenqueue_many(job, calls, **options))

    def close(self) -> None:
        self.run(self.client.aclose())
        self.runner.close()


class Ticks:
    """A task that wants a turn all the time: how many it had, and the longest time without one."""

    def __init__(self) -> None:
        self.count = 0
        self.longest_seconds = 0.0

    async def __aenter__(self) -> Ticks:
        self._task = asyncio.create_task(self._tick())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(0.005)
        self._task.cancel()

    async def _tick(self) -> None:
        before = time.perf_counter()
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            self.count += 1
            self.longest_seconds = max(self.longest_seconds, now - before)
            before = now


def free_slots(client: Client) -> list[int]:
    """The slots of the client for pushes that are due now; none may wait for one."""
    store: Any = client._twin._made.known
    pools = store.enqueuer._slots.pools()
    assert not any(pool._waiting for pool in pools)
    return sorted(each.slot for pool in pools for each in pool._free)
