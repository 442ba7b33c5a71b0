"""Schedule entries for every second beside the jobs of chaos.py: each tick must run, and once."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TypeVar

import redis

import gresque
from gresque.errors import RedisUnavailable

LATE_SECONDS = 15.0
"""The last ticks before the entries are removed may still wait for the holder of the lease."""
Result = TypeVar("Result")
_KEY = re.compile(r"tick-(\d+)@(\d+)")


class Ticks:
    """Some entries, each for every second and with all that was missed made up."""

    def __init__(self, client: gresque.Client, entries: int) -> None:
        self._client = client
        self._entries = entries
        self._removed_at = 0.0
        """By the server's clock."""

    def set(self) -> None:
        for number in range(self._entries):
            self._client.schedules.set(
                f"chaos-{number}", every=1, job="ChaosTick", queue="bench", args=[number],
                catch_up="all", max_late_seconds=None,
            )  # fmt: skip

    def remove(self) -> None:
        """The server may be away for a moment."""
        for number in range(self._entries):
            insist(lambda number=number: self._client.schedules.remove(f"chaos-{number}"))
        self._removed_at = insist(lambda: self._client.store.now())

    def ran(self, ended: Iterable[str]) -> int:
        """How many of the jobs that ended were ticks."""
        return sum(_KEY.fullmatch(key) is not None for key in ended)

    def missing(self, ended: Iterable[str]) -> int:
        """How many ticks of all entries have not run, by the keys of the jobs that ended."""
        if not self._entries:
            return 0
        seconds = defaultdict[int, set[int]](set)
        for found in filter(None, map(_KEY.fullmatch, ended)):
            seconds[int(found[1])].add(int(found[2]))
        last = int(self._removed_at - LATE_SECONDS)
        first = min(map(min, seconds.values()), default=last - 1)
        return sum(
            second not in seconds[number]
            for number in range(self._entries)
            for second in range(first, last + 1)
        )


def insist(ask: Callable[[], Result]) -> Result:
    """The answer, though the server may be away for a moment."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(RedisUnavailable, redis.RedisError):
            return ask()
        time.sleep(0.1)
    return ask()
