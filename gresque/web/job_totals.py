"""Counters of jobs by queue and class, added up from the minutes that are over."""

from __future__ import annotations

import time
from collections import Counter
from threading import Lock

from gresque.inspector.metrics import MetricsReader, PairCounts
from gresque.store.store import Store

LATE_SECONDS = 120
"""A minute that was over for this long does not change any more."""
MOST_MINUTES = 60
"""Minutes that one call adds at most: a scrape that was left out for an hour loses those before."""
NAMES = 500
OTHER = "other"


class JobTotals:
    """Counts from the start of this process on, as a counter of Prometheus may. Each minute is
    added once, two minutes after its end."""

    def __init__(self, store: Store, now: float | None = None) -> None:
        self._reader = MetricsReader(store)
        self._lock = Lock()
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._names: tuple[set[str], set[str]] = set(), set()
        self._last = self._settled(now)
        """The last minute that was added."""

    def counts(self, now: float | None = None) -> dict[tuple[str, str, str], int]:
        """Queue, class and outcome (done, failed, retried) -> how many. Of classes above NAMES the
        further ones count together, as OTHER; so do queues."""
        with self._lock:
            settled = self._settled(now)
            first = max(self._last + 1, settled - MOST_MINUTES + 1)
            for minute in range(first, settled + 1):
                for pair in self._reader.pairs(1, now=minute * 60.0 + 59):
                    self._add(pair)
            self._last = max(self._last, settled)
            return dict(self._counts)

    def _add(self, pair: PairCounts) -> None:
        queue = self._named(0, pair.queue)
        job = self._named(1, pair.job)
        for outcome, count in (
            ("done", pair.counts.done),
            ("failed", pair.counts.failed),
            ("retried", pair.counts.retried),
        ):
            self._counts[queue, job, outcome] += count

    def _named(self, place: int, name: str) -> str:
        names = self._names[place]
        if name not in names and len(names) >= NAMES - 1:
            return OTHER
        names.add(name)
        return name

    @staticmethod
    def _settled(now: float | None) -> int:
        return int((time.time() if now is None else now) - LATE_SECONDS) // 60 - 1
