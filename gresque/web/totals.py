"""Counters from the start of this process on, as Prometheus wants them: added up from what Redis
keeps for some minutes, hours or entries."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from threading import Lock
from typing import NamedTuple

from gresque.inspector.metrics import MetricsReader, Times
from gresque.inspector.pair_counts import PairCounts
from gresque.inspector.recoveries import LoggedRecovery
from gresque.store.metric_fields import BUCKETS
from gresque.store.store import Store

LATE_SECONDS = 120
"""A minute that was over for this long does not change any more."""
MOST_MINUTES = 60
"""Minutes that one call adds at most: a scrape that was left out for an hour loses those before."""
NAMES = 500
OTHER = "other"
SPAN_SECONDS = 600
MOST_SPANS = 432
"""As long as histograms are kept."""
MOST_RECOVERIES = 100
"""As many as the log has."""


class Names:
    """The values of a label. Above NAMES further ones are all OTHER."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def take(self, name: str) -> str:
        if name not in self._known and len(self._known) >= NAMES - 1:
            return OTHER
        self._known.add(name)
        return name


class JobTotals:
    """Jobs by queue, class and outcome. Each minute is added once, two minutes after its end."""

    def __init__(self, store: Store, now: float | None = None) -> None:
        self._reader = MetricsReader(store)
        self._lock = Lock()
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._queues, self._jobs = Names(), Names()
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
        queue, job = self._queues.take(pair.queue), self._jobs.take(pair.job)
        for outcome, count in (
            ("done", pair.counts.done),
            ("failed", pair.counts.failed),
            ("retried", pair.counts.retried),
        ):
            self._counts[queue, job, outcome] += count

    @staticmethod
    def _settled(now: float | None) -> int:
        return int((time.time() if now is None else now) - LATE_SECONDS) // 60 - 1


class TimeTotals:
    """Histograms of the run times of classes and of the waiting times of queues. They begin with
    the ten minutes in which this process started."""

    def __init__(self, store: Store, now: float | None = None) -> None:
        reader = MetricsReader(store)
        self._lock = Lock()
        start = int(time.time() if now is None else now) // SPAN_SECONDS
        self._runs = _Histograms(reader.run_times, start)
        self._waits = _Histograms(reader.waiting_times, start)

    def runs(self, now: float | None = None) -> dict[str, list[int]]:
        """Class -> how many runs there are in each bucket."""
        with self._lock:
            return self._runs.read(time.time() if now is None else now)

    def waits(self, now: float | None = None) -> dict[str, list[int]]:
        """Queue -> how many of the jobs that were asked are in each bucket."""
        with self._lock:
            return self._waits.read(time.time() if now is None else now)


class _Histograms:
    def __init__(self, read: Callable[..., Mapping[str, Times]], first: int) -> None:
        self._read, self._first = read, first
        self._over: dict[str, list[int]] = {}
        """Of the spans before `_first`, which do not change any more."""
        self._names = Names()

    def read(self, now: float) -> dict[str, list[int]]:
        last = int(now) // SPAN_SECONDS
        settled = int(now - LATE_SECONDS) // SPAN_SECONDS
        self._first = max(self._first, last - MOST_SPANS + 1)
        while self._first < settled:
            self._add(self._over, self._first)
            self._first += 1
        found = {name: [*buckets] for name, buckets in self._over.items()}
        for number in range(self._first, last + 1):
            self._add(found, number)
        return found

    def _add(self, sums: dict[str, list[int]], number: int) -> None:
        end = (number + 1) * SPAN_SECONDS - 1.0
        for name, times in self._read(1 / 6, now=end).items():
            buckets = sums.setdefault(self._names.take(name), [0] * BUCKETS)
            for bucket, count in enumerate(times.buckets):
                buckets[bucket] += count


class Recovered(NamedTuple):
    """Processes that died and were recovered, the jobs that these held, and how many of these
    failed as poison."""

    recoveries: int = 0
    jobs: int = 0
    poison: int = 0


class RecoveryTotals:
    """Recoveries since the first question, from the log of the last hundred."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = Lock()
        self._newest: LoggedRecovery | None = None
        self._is_known = False
        self._sum = Recovered()

    def counts(self) -> Recovered:
        with self._lock:
            log = LoggedRecovery.newest(self._store, MOST_RECOVERIES)
            new = log[: log.index(self._newest)] if self._newest in log else log
            if self._is_known:
                for each in new:
                    self._sum = Recovered(
                        self._sum.recoveries + 1,
                        self._sum.jobs + each.requeued + each.failed + each.retried,
                        self._sum.poison + each.poison,
                    )
            self._newest, self._is_known = log[0] if log else None, True
            return self._sum


class Totals(NamedTuple):
    """All of them."""

    jobs: JobTotals
    times: TimeTotals
    recoveries: RecoveryTotals

    @classmethod
    def of(cls, store: Store) -> Totals:
        return cls(JobTotals(store), TimeTotals(store), RecoveryTotals(store))
