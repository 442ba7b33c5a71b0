"""The jobs of the benchmarks."""

from __future__ import annotations

import os
import time
from functools import cache
from typing import Any

import gresque
from benchmarks.peers import body


@gresque.job(queue="bench", name="Noop")
def noop(*args: Any) -> None:
    """Nothing: what remains is what a job costs."""


@gresque.job(queue="bench", name="Sleep")
def sleep(seconds: float) -> None:
    """Wait, as for a reply over the network."""
    time.sleep(seconds)


@gresque.job(queue="bench", name="Tally")
def tally(key: str, seconds: float) -> None:
    """Wait, then count this run under the job's name."""
    time.sleep(seconds)
    gresque.default_client().store.redis.hincrby("tally", key, 1)


@gresque.job(queue="bench", name="Chaos")
def chaos(key: str, seconds: float) -> None:
    """Wait, and note the start and the end in the file CHAOS_TALLY: Redis may be away."""
    _note("start", key)
    time.sleep(seconds)
    _note("end", key)


@cache
def _tally_of(pid: int) -> int:
    return os.open(os.environ["CHAOS_TALLY"], os.O_WRONLY | os.O_APPEND)


def _note(event: str, key: str) -> None:
    pid = os.getpid()
    os.write(_tally_of(pid), f"{event} {key} {pid} {time.monotonic():.4f}\n".encode())


@gresque.job(queue="bench", name="Burn")
def burn(seconds: float) -> None:
    """Keep the CPU for so long."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass
    body.count()


gresque.job(queue="bench", name="Start")(body.start)
