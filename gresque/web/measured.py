"""Metrics for the pages: each kind is read once for all viewers, and as often as it changes."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import Any, Protocol, TypeVar

import redis

from gresque.inspector.metrics import (
    Depth,
    MetricsReader,
    Series,
    Step,
    Times,
)
from gresque.store.store import Store

Found = TypeVar("Found")

SPANS: dict[str, tuple[Step, int, float]] = {
    "10m": (Step.SECOND, 600, 1.0),
    "1h": (Step.MINUTE, 60, 3.0),
    "8h": (Step.MINUTE, 480, 10.0),
    "24h": (Step.TEN_MINUTES, 144, 20.0),
    "3d": (Step.TEN_MINUTES, 432, 60.0),
}
"""Name -> steps, how many of them, and after how many seconds they are read again."""
CLASS_MINUTES = 60
WAIT_STEPS = 18


class AnyMeasured(Protocol):
    """What pages ask, of one shard or of all."""

    def series(self, span: str) -> Series: ...

    def of_class(self, job: str) -> Series: ...

    def waits_of(self, queue: str) -> list[tuple[int, Times | None]]: ...

    def depths(self) -> dict[str, list[Depth]]: ...


class Measured:
    """Any number of threads or greenlets may ask."""

    def __init__(self, store: Store) -> None:
        self._reader = MetricsReader(store)
        self._lock = Lock()
        self._kept: dict[object, tuple[float, Any]] = {}

    def series(self, span: str) -> Series:
        step, length, every = SPANS[span]
        return self._read(span, every, lambda: self._reader.series(step, length=length))

    def of_class(self, job: str) -> Series:
        """Its last hour, by the minute."""
        return self._read(
            ("class", job), 5.0,
            lambda: self._reader.series(Step.MINUTE, length=CLASS_MINUTES, job=job),
        )  # fmt: skip

    def waits_of(self, queue: str) -> list[tuple[int, Times | None]]:
        """For how long its jobs waited, by ten minutes over three hours, the oldest first."""
        return [(at, found.get(queue)) for at, found in self._read("waits", 20.0, self._waits)]

    def _waits(self) -> list[tuple[int, dict[str, Times]]]:
        last = int(time.time()) // 600
        return [
            (number * 600, self._reader.waiting_times(1 / 6, now=number * 600 + 599.0))
            for number in range(last - WAIT_STEPS + 1, last + 1)
        ]

    def depths(self) -> dict[str, list[Depth]]:
        """Of the last 30 minutes."""
        return self._read("depths", 5.0, self._reader.depths)

    def _read(self, name: object, every: float, read: Callable[[], Found]) -> Found:
        with self._lock:
            at, found = self._kept.get(name, (0.0, None))
            now = time.monotonic()
            if at == 0.0 or now - at >= every:
                try:
                    found = read()
                except redis.RedisError:
                    if at == 0.0:
                        raise  # else what was read last is shown
                if len(self._kept) > 500:
                    self._kept.clear()
                self._kept[name] = now, found
            return found  # type: ignore[no-any-return]
