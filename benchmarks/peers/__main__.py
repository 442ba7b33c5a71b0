"""The bench's hand in a peer's environment: `python -m benchmarks.peers PEER`.

Reads commands as JSON lines from stdin, and answers each with one on stdout.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import random
import sys
import time
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.peers import body

LATENCY_LIMIT_SECONDS = 6.0
PAUSE_SECONDS = (0.01, 0.05)
"""Between two jobs of the latency test, at random: not in step with anything that polls."""


class Hand:
    """Enqueues for one peer, and times its pick-up."""

    def __init__(self, name: str) -> None:
        self._peer: Any = importlib.import_module(f"benchmarks.peers.{name}")
        self._packages = _packages(Path(__file__).with_name(f"{name}.txt"))
        self._number = 0

    async def serve(self) -> None:
        async with AsyncExitStack() as stack:
            if hasattr(self._peer, "client"):
                await stack.enter_async_context(self._peer.client())
            for line in iter(sys.stdin.readline, ""):
                command = json.loads(line)
                answer = await getattr(self, command.pop("do"))(**command)
                print(json.dumps(answer), flush=True)

    async def about(self) -> dict[str, Any]:
        return {
            "versions": {package: version(package) for package in self._packages},
            "jobs_per_second": self._peer.JOBS_PER_SECOND,
            "many_queues": self._peer.MANY_QUEUES,
            "settings": " ".join(inspect.getdoc(self._peer).split()),
        }

    async def workers(self, processes: int, threads: int, waits: bool) -> list[list[str]]:
        commands = self._peer.workers(processes, threads, waits)
        return [[str(Path(sys.executable).parent / c[0]), *c[1:]] for c in commands]

    async def enqueue(self, job: str, count: int, argument: Any = None) -> dict[str, float]:
        """`count` jobs; without an argument each gets its number."""
        started = time.monotonic()
        arguments = [n if argument is None else argument for n in range(count)]
        await self._enqueue(job, arguments, body.QUEUES[0])
        return {"seconds": time.monotonic() - started}

    async def _enqueue(self, job: str, arguments: list[Any], queue: str) -> None:
        result = self._peer.enqueue(job, arguments, queue)
        if inspect.isawaitable(result):
            await result

    async def latency(self, count: int, plainly: bool = False) -> dict[str, list[float] | int]:
        """One job after the other for an idle worker, each into one of the queues by chance; how
        many ms from before the call that enqueues it until it starts."""
        latencies, late = [], 0
        words = body.map_tally(body.tally._path)
        enqueue = self._peer.enqueue_plainly if plainly else self._enqueue
        for _ in range(count):
            await asyncio.sleep(random.uniform(*PAUSE_SECONDS))
            self._number += 1
            word = 1 + body.PROCESSES + self._number
            queue = random.choice(body.QUEUES)
            sent = time.monotonic_ns()
            await enqueue("start", [self._number], queue)
            while not words[word] and time.monotonic_ns() - sent < LATENCY_LIMIT_SECONDS * 1e9:
                await asyncio.sleep(0.001)
            if words[word]:
                latencies.append((words[word] - sent) / 1e6)
            else:
                late += 1
        return {"milliseconds": latencies, "late": late}


def _packages(requirements: Path) -> list[str]:
    """The packages that the file names; `-e ./` is gresque itself."""
    lines = requirements.read_text().splitlines()
    return ["gresque" if line.startswith("-e") else line.split("[")[0] for line in lines]


if __name__ == "__main__":
    asyncio.run(Hand(sys.argv[1]).serve())
