"""Writing what short-lived processes have counted."""

from __future__ import annotations

import secrets
import time

from gresque.maintenance.task import Interval
from gresque.processes.sums import SharedSums, Sums
from gresque.store.store import Store

WRITE_SECONDS = 1.0


class WriteSums:
    """Done by every master for its own processes, when they have left something. What Redis did
    not acknowledge is sent again under the same number: it is added once."""

    name = "write sums"

    def __init__(self, shared: SharedSums) -> None:
        self._shared = shared
        self._name = secrets.token_hex(8)
        self._number = 0
        self._unsent: list[Sums] = []
        self._interval = Interval(WRITE_SECONDS)

    def due(self, now: float) -> float:
        return self._interval.left(now)

    def run(self, store: Store) -> None:
        self._interval.begin(time.monotonic())
        self._unsent += self._shared.take()
        while self._unsent:
            store.metrics.add(self._name, self._number, self._unsent[0])
            self._number += 1
            del self._unsent[0]
