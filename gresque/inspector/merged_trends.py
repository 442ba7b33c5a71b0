"""What the metrics of several shards say together. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from gresque.inspector.failing_classes import FailingClass
from gresque.inspector.metrics import Depth, Mark, Point, Series, Times
from gresque.inspector.pair_counts import PairCounts, sum_of
from gresque.inspector.trends import Trends
from gresque.store.metric_fields import quantile

K = TypeVar("K")
V = TypeVar("V")


def merge_trends(found: Sequence[Trends]) -> Trends:
    """Those of all shards; `found` has one or more."""
    out = Counter[str]()
    for each in found:
        out.update(each.out_rates)  # rates add up as counts do
    return Trends(
        seconds=merge_series([each.seconds for each in found]),
        failing=merge_failing(one for each in found for one in each.failing),
        tens=merge_series([each.tens for each in found]),
        pairs=merge_pairs(pair for each in found for pair in each.pairs),
        run_times=merge_times([each.run_times for each in found]),
        depths=merge_depths([each.depths for each in found]),
        marks=merge_marks(mark for each in found for mark in each.marks),
        out_rates=dict(out),
    )


def merge_series(found: Sequence[Series]) -> Series:
    """The points of the same times added up. Where one series reaches further than another, as a
    shard was asked a moment later, that one counts alone."""
    points: dict[int, Point] = {}
    for series in found:
        for point in series.points:
            known = points.get(point.at)
            points[point.at] = point if known is None else _sum_of_points(known, point)
    return Series(found[0].step, tuple(points[at] for at in sorted(points)))


def _sum_of_points(one: Point, other: Point) -> Point:
    return Point(one.at, max(one.seconds, other.seconds), one.counts.plus(other.counts))


def merge_pairs(found: Iterable[PairCounts]) -> list[PairCounts]:
    """Those with the most attempts first."""
    pairs = _grouped(((pair.queue, pair.job), pair) for pair in found)
    merged = [
        PairCounts(
            queue,
            job,
            sum_of(pair.counts for pair in each),
            sum(pair.seconds for pair in each),
            _most_common(pair.exceptions for pair in each),
        )
        for (queue, job), each in pairs.items()
    ]
    return sorted(merged, key=lambda pair: -pair.counts.attempts)


def merge_failing(found: Iterable[FailingClass]) -> list[FailingClass]:
    """Those with the most failed attempts first. A class fails since it began to on one shard."""
    classes = _grouped((each.job, each) for each in found)
    merged = [
        FailingClass(
            job,
            sum_of(one.now for one in each),
            sum_of(one.before for one in each),
            _most_common(one.exceptions for one in each),
            _most_common(one.queues for one in each),
            min(one.since for one in each),
            sum_of(one.lately for one in each),
        )
        for job, each in classes.items()
    ]
    return sorted(merged, key=lambda each: (-each.now.failed_attempts, each.job))


def merge_times(found: Sequence[dict[str, Times]]) -> dict[str, Times]:
    """The histograms of the same names added up."""
    times = _grouped(item for each in found for item in each.items())
    return {name: _sum_of_times(each) for name, each in times.items()}


def _sum_of_times(found: Sequence[Times]) -> Times:
    buckets = tuple(map(sum, zip(*(each.buckets for each in found), strict=True)))
    return Times(sum(buckets), quantile(buckets, 0.5), quantile(buckets, 0.95), buckets)


def merge_depths(found: Sequence[dict[str, list[Depth]]]) -> dict[str, list[Depth]]:
    """Queue -> how much waited in it on all shards, minute by minute: the same minutes for each
    queue, all in which anybody has looked at a shard."""
    depths = _grouped(item for each in found for item in each.items())
    times = {int(d.at) // 60: d.at for each in depths.values() for some in each for d in some}
    return {queue: _by_minute(each, times) for queue, each in depths.items()}


def _by_minute(found: Iterable[list[Depth]], times: dict[int, float]) -> list[Depth]:
    """`times`: minute -> a time in it, at which nothing waits where no other is known."""
    minutes = _grouped((int(depth.at) // 60, depth) for each in found for depth in each)
    return [
        _sum_of_depths(minutes[minute]) if minute in minutes else Depth(times[minute], 0)
        for minute in sorted(times)
    ]


def _sum_of_depths(found: Sequence[Depth]) -> Depth:
    aged = [each for each in found if each.age_seconds is not None]
    oldest = max(aged, key=lambda each: each.age_seconds or 0.0, default=found[0])
    return replace(oldest, depth=sum(each.depth for each in found))


def merge_marks(found: Iterable[Mark]) -> tuple[Mark, ...]:
    """The oldest first. What was written to every shard at once, such as a deploy, is one mark."""
    marks: dict[tuple[int, str, str], Mark] = {}
    for mark in sorted(found, key=lambda each: each.at):
        key = int(mark.at) // 60, mark.kind, mark.text
        marks.setdefault(key, mark)
    return tuple(marks.values())


def _most_common(found: Iterable[dict[str, int]]) -> dict[str, int]:
    counts = Counter[str]()
    for each in found:
        counts.update(each)
    return dict(counts.most_common())


def _grouped(found: Iterable[tuple[K, V]]) -> dict[K, list[V]]:
    groups: defaultdict[K, list[V]] = defaultdict(list)
    for key, value in found:
        groups[key].append(value)
    return groups
