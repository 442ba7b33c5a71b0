"""Metrics for people: what was done and failed over time, how long it took, what waits.

`MetricsReader` reads them. One that is kept, as by a page, asks for minutes that are over once.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from gresque.clock import parse_iso_8601
from gresque.inspector.failing_classes import FailingClass, failing_in
from gresque.inspector.pair_counts import PairCounts, pairs_of, sum_of
from gresque.inspector.recoveries import LoggedRecovery
from gresque.store.metric_fields import BUCKETS, MOST_MARKS, Counts, quantile
from gresque.store.metric_fields import field as field_of
from gresque.store.metrics import as_number, parts_of
from gresque.store.store import Store
from gresque.text import counted, decoded

LATE_SECONDS = 3
"""By then nearly all processes have written what ended in a second. A series of seconds ends
there."""
SETTLED_SECONDS = 120
"""A minute that was over for this long does not change any more."""
NOW_MINUTES = 5
BEFORE_MINUTES = 60
"""What fails now is compared with the hour before."""
MOST_RECOVERIES = 100
STARTED_TOGETHER_SECONDS = 60.0


class Step(Enum):
    """The steps of a series: for how many seconds each one stands, and how many are kept."""

    SECOND = 1, 15 * 60
    MINUTE = 60, 8 * 60
    TEN_MINUTES = 600, 3 * 144

    def __init__(self, seconds: int, most: int) -> None:
        self.seconds = seconds
        self.most = most


@dataclass(frozen=True)
class Point:
    """What ended in one step, which began at `at`, in epoch seconds. `seconds` of it are over:
    fewer than its length for the last one of a series of minutes."""

    at: int
    seconds: int
    counts: Counts

    @property
    def done_rate(self) -> float:
        """A second."""
        return self.counts.done / self.seconds

    @property
    def failed_rate(self) -> float:
        return self.counts.failed / self.seconds


@dataclass(frozen=True)
class Series:
    """Points at equal distances, the oldest first, without gaps."""

    step: Step
    points: tuple[Point, ...]

    @property
    def total(self) -> Counts:
        return sum_of(point.counts for point in self.points)

    def rate(self, seconds: int) -> Counts:
        """Counts of the last `seconds`, as far as the series has them."""
        wanted = max(seconds // self.step.seconds, 1)
        return sum_of(point.counts for point in self.points[-wanted:])


@dataclass(frozen=True)
class Times:
    """Run times of a class, or waiting times of a queue, in seconds. Percentiles are exact to a
    factor of 2, and not below 5 ms; waiting times are samples."""

    count: int
    p50: float
    p95: float
    buckets: tuple[int, ...] = field(repr=False)


@dataclass(frozen=True)
class Depth:
    """How many jobs waited in a queue at this time, and for how long the next one of them. With
    `at_least` the payload of that job has no time: it has been seen as the next one for this long.
    `age_seconds` is None where nothing waited."""

    at: float
    depth: int
    age_seconds: float | None = None
    at_least: bool = False


@dataclass(frozen=True)
class Mark:
    """Something that happened: `kind` is `mark`, `started`, `recovery`, `pause` or `unpause`. `by`
    is user@host, of a recovery the process that did it, of a start the first of these workers."""

    at: float
    kind: str
    text: str
    by: str

    @property
    def sentence(self) -> str:
        """`text`, which of a pause is only the queue, with what happened."""
        return f"{self.text} {self.kind}d" if self.kind in ("pause", "unpause") else self.text


class MetricsReader:
    """Reads metrics of one namespace. Its methods raise redis-py's errors; greenlets and threads
    must not share it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[str, dict[bytes, int]] = {}
        """Hashes of minutes that are over, whole."""
        self._kept_totals: dict[str, Counts] = {}

    def series(
        self,
        step: Step,
        *,
        length: int | None = None,
        queue: str | None = None,
        job: str | None = None,
        now: float | None = None,
    ) -> Series:
        """The last `length` steps, at most and by default `step.most`. With a queue, a class or
        both only what these did; seconds do not tell that apart, so that is a ValueError. The last
        minute is the current one, the last second is LATE_SECONDS ago."""
        now = time.time() if now is None else now
        count = min(length or step.most, step.most)
        if step is Step.SECOND:
            if queue is not None or job is not None:
                raise ValueError("seconds are not counted by queue and class")
            return Series(step, self._seconds(int(now) - LATE_SECONDS, count))
        last = int(now) // step.seconds
        numbers = range(last - count + 1, last + 1)
        if queue is None and job is None:
            found = self._totals(step, numbers, now)
        else:
            hashes = self._hashes(_SPANS[step], numbers, step.seconds, now)
            found = [_counts_of(each, queue, job) for each in hashes]
        return Series(
            step,
            tuple(
                Point(
                    number * step.seconds,
                    min(step.seconds, int(now) - number * step.seconds + 1),
                    counts,
                )
                for number, counts in zip(numbers, found, strict=True)
            ),
        )

    def pairs(self, minutes: int = 60, *, now: float | None = None) -> list[PairCounts]:
        """What each class did from each queue in the last minutes, at most 480, the current one
        included; those with the most attempts first."""
        now = time.time() if now is None else now
        last = int(now) // 60
        hashes = self._hashes("minute", range(last - minutes + 1, last + 1), 60, now)
        return pairs_of(hashes)

    def failing(self, *, now: float | None = None) -> list[FailingClass]:
        """Classes that fail now, those with the most failed attempts first."""
        now = time.time() if now is None else now
        last = int(now) // 60
        numbers = range(last - BEFORE_MINUTES - NOW_MINUTES + 1, last + 1)
        hashes = self._hashes("minute", numbers, 60, now)
        return failing_in(hashes, 60.0 * numbers[0], NOW_MINUTES)

    def run_times(self, hours: float = 1.0, *, now: float | None = None) -> dict[str, Times]:
        """Class -> its run times in the last hours, at most 72, to ten minutes."""
        return self._times("t", hours, now)

    def waiting_times(self, hours: float = 1.0, *, now: float | None = None) -> dict[str, Times]:
        """Queue -> for how long the jobs waited that were taken from it in the last hours."""
        return self._times("w", hours, now)

    def depths(self, minutes: int = 30, *, now: float | None = None) -> dict[str, list[Depth]]:
        """Queue -> how much waited in it, one Depth a minute, at most 480, the oldest first.
        Minutes in which nobody looked are left out. Queues in which nothing waited in all that time
        are absent. Of the current minute it is the last look, at most 10 s ago."""
        now = time.time() if now is None else now
        last = int(now) // 60
        numbers = range(last - minutes + 1, last + 1)
        keys = [self._store.keys.metrics("depth", number) for number in numbers]
        looks = [each for each in self._store.metrics.depths(keys) if b"" in each]
        names = {name for each in looks for name in each if name}
        return {
            decoded(name): [_depth(each.get(name), each[b""]) for each in looks] for name in names
        }

    def marks(self, since: float) -> list[Mark]:
        """What happened from this time on, in epoch seconds, the oldest first: marks by hand and of
        pauses, at most 1,000; the last 100 recoveries that moved jobs; and when the workers that
        live now were started, those of one minute together, as after a deploy."""
        found = self._store.metrics.marks(int(since * 1000), MOST_MARKS)
        marks = [
            Mark(
                int(name.partition(b"-")[0]) / 1000,
                *(decoded(fields.get(each, b"")) for each in (b"kind", b"text", b"by")),
            )
            for name, fields in reversed(found)
        ]
        marks += [*self._recoveries(), *self._starts()]
        return sorted((each for each in marks if each.at >= since), key=lambda each: each.at)

    def _recoveries(self) -> Iterator[Mark]:
        for each in LoggedRecovery.newest(self._store, MOST_RECOVERIES):
            jobs, at = each.requeued + each.failed + each.retried, parse_iso_8601(each.at)
            if jobs and at is not None:
                text = f"{counted(jobs, 'job')} of {each.process}: {each.cause}"
                yield Mark(at, "recovery", text, each.by)

    def _starts(self) -> Iterator[Mark]:
        reads = self._store.reads()
        masters = reads.texts_of("HGETALL", self._store.keys.masters)
        reads.run()
        starts = sorted(
            (at, worker)
            for worker, text in masters.value.items()
            if (at := parse_iso_8601(text.replace(" +", "+"))) is not None
        )
        together: list[tuple[float, list[str]]] = []
        for at, worker in starts:
            if together and at - together[-1][0] < STARTED_TOGETHER_SECONDS:
                together[-1][1].append(worker)
            else:
                together.append((at, [worker]))
        for at, workers in together:
            yield Mark(at, "started", counted(len(workers), "worker"), workers[0])

    # Reading

    def _seconds(self, last: int, count: int) -> tuple[Point, ...]:
        first = last - count + 1
        minutes = range(first // 60, last // 60 + 1)
        hashes = dict(
            zip(minutes, self._hashes("second", minutes, 60, last + LATE_SECONDS), strict=True)
        )
        points = []
        for at in range(first, last + 1):
            minute, second = divmod(at, 60)
            found = hashes[minute]
            counts = Counts(*(found.get(b"%d%s" % (second, kind), 0) for kind in _KINDS))
            points.append(Point(at, 1, counts))
        return tuple(points)

    def _totals(self, step: Step, numbers: Sequence[int], now: float) -> list[Counts]:
        keys = [self._store.keys.metrics(_SPANS[step], number) for number in numbers]
        kept = self._kept_totals
        missing = [key for key in keys if key not in kept]
        found = dict(zip(missing, self._store.metrics.totals(missing), strict=True))
        closed = int(now - SETTLED_SECONDS) // step.seconds
        for key, number in zip(keys, numbers, strict=True):
            if key in found and number < closed:
                kept[key] = found[key]
        _forget_oldest(kept, 2 * (Step.MINUTE.most + Step.TEN_MINUTES.most))
        return [kept[key] if key in kept else found[key] for key in keys]

    def _hashes(
        self, span: str, numbers: Sequence[int], seconds: int, now: float
    ) -> list[dict[bytes, int]]:
        keys = [self._store.keys.metrics(span, number) for number in numbers]
        kept = self._kept
        missing = [key for key in keys if key not in kept]
        found = dict(zip(missing, self._store.metrics.hashes(missing), strict=True))
        closed = int(now - SETTLED_SECONDS) // seconds
        for key, number in zip(keys, numbers, strict=True):
            if key in found and number < closed:
                kept[key] = found[key]
        _forget_oldest(kept, 1000)
        return [found[key] if key in found else kept[key] for key in keys]

    def _times(self, kind: str, hours: float, now: float | None) -> dict[str, Times]:
        now = time.time() if now is None else now
        last = int(now) // 600
        numbers = range(last - max(int(hours * 6), 1) + 1, last + 1)
        histograms: dict[str, list[int]] = defaultdict(lambda: [0] * BUCKETS)
        for hashed in self._hashes("times", numbers, 600, now):
            for name, count in hashed.items():
                parts = parts_of(name)
                if len(parts) == 3 and parts[0] == kind and parts[2].isdecimal():
                    histograms[parts[1]][min(int(parts[2]), BUCKETS - 1)] += count
        return {
            name: Times(
                sum(buckets), quantile(buckets, 0.5), quantile(buckets, 0.95), tuple(buckets)
            )
            for name, buckets in histograms.items()
        }


_SPANS = {Step.MINUTE: "minute", Step.TEN_MINUTES: "ten"}
_KINDS = (b"d", b"f", b"r")


def _forget_oldest(kept: dict[str, Any], most: int) -> None:
    while len(kept) > most:
        del kept[next(iter(kept))]


def _counts_of(found: dict[bytes, int], queue: str | None, job: str | None) -> Counts:
    counts = dict.fromkeys("dfr", 0)
    part = field_of(queue or job or "").encode()  # to look for it is cheaper than to split
    for name, count in found.items():
        if part not in name:
            continue
        kind, *parts = parts_of(name)
        if len(parts) == 2 and kind in counts and queue in (None, parts[0]):
            counts[kind] += count if job in (None, parts[1]) else 0
    return Counts(*counts.values())


def _depth(raw: bytes | None, looked_at: bytes) -> Depth:
    """One entry of a hash of depths: `depth`, or `depth age_ms`, or `depth age_ms+`."""
    at = as_number(looked_at) / 1000
    if raw is None:
        return Depth(at, 0)
    depth, _, age = raw.partition(b" ")
    at_least = age.endswith(b"+")
    seconds = as_number(age.rstrip(b"+")) / 1000 if age else None
    return Depth(at, as_number(depth), seconds, at_least)
