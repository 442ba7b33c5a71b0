"""Overview: what is wrong, six numbers, and what stands behind them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from flask import Response, request
from markupsafe import Markup

from gresque.inspector.metrics import Depth, Series, Times
from gresque.inspector.pair_counts import PairCounts
from gresque.inspector.snapshot import LATE_SECONDS, HostRow, ProcessRow, QueueRow, Snapshot
from gresque.inspector.trends import Trends
from gresque.store.metric_fields import Counts
from gresque.web.measured import AnyMeasured
from gresque.web.pages import throughput
from gresque.web.pages.show import show
from gresque.web.site import site

SHORT_SPANS, LONG_SPANS = ("10m", "1h", "8h"), ("24h", "3d")
QUEUES, CLASSES, FAILING, HOSTS = 8, 9, 5, 10
"""A queue whose next job has waited for longer is late."""


class Usual(NamedTuple):
    """Done and failed attempts over a time."""

    attempts: int
    failed: int


class Sparks(NamedTuple):
    span: str
    done: list[float]
    failed: list[float]


@dataclass(frozen=True)
class ClassRow:
    """A class of jobs in the last hour. `part` is its share of the time that the most expensive
    one took."""

    name: str
    done: int
    failed: int
    part: float
    times: Times | None
    failures: list[float] = field(repr=False)


@dataclass(frozen=True)
class FailingRow:
    job: str
    count: int
    exception: str
    queue: str
    since: float
    others: int
    failures: list[float] = field(repr=False)


def page() -> Response:
    here = site()
    snapshot, measured = here.collector.last(jobs=True), here.measured
    short, long = _span("span", SHORT_SPANS), _span("long", LONG_SPANS)
    trends, hour = snapshot.trends, measured.series("1h")
    known = {"10m": trends.seconds, "24h": trends.tens}

    def chart(name: str, width: int) -> Markup | None:
        return throughput.chart(name, known.get(name) or measured.series(name), trends.marks, width)

    return show(
        "overview",
        number=snapshot.number,
        every=1,
        snapshot=snapshot,
        short=short,
        long=long,
        chart=chart(short, 900),
        long_chart=chart(long, 540),
        hour=hour,
        five=_usual(trends.seconds.rate(300)),
        day=_usual(trends.tens.total),
        sparks=_sparks(trends.seconds, snapshot),
        queues=_queues(snapshot),
        depths=_depths(trends.depths),
        failing=_failing(trends, measured),
        classes=_classes(trends, measured),
        hosts=_hosts(snapshot),
        cpu=_sum_of_cpu(snapshot),
        memory=sum(host.memory_bytes or 0 for host in snapshot.hosts),
        LATE=LATE_SECONDS,
        spans={"short": SHORT_SPANS, "long": LONG_SPANS},
        names=throughput.NAMES,
        since=lambda at: throughput.since(at, snapshot.at),
    )


def _span(name: str, spans: Sequence[str]) -> str:
    given = request.args.get(name, "")
    return given if given in spans else spans[0]


def _sparks(lately: Series, snapshot: Snapshot) -> Sparks:
    """Ten minutes by metrics; without them what the collector itself has seen."""
    if lately.total.attempts:
        done = [each.done_rate for each in lately.points]
        failed = [each.failed_rate for each in lately.points]
        return Sparks("10 minutes", throughput.thinned(done, 60), throughput.thinned(failed, 60))
    paces = snapshot.paces
    return Sparks("2 minutes", [each.done for each in paces], [each.failed for each in paces])


def _usual(counts: Counts) -> Usual:
    return Usual(counts.attempts, counts.failed_attempts)


def _queues(snapshot: Snapshot) -> list[QueueRow]:
    """The latest first."""

    def lateness(row: QueueRow) -> tuple[float, int, str]:
        return -(row.age_seconds or 0.0), -row.waiting, row.name

    return sorted(snapshot.queues, key=lateness)[:QUEUES]


def _depths(found: dict[str, list[Depth]]) -> dict[str, list[int]]:
    return {name: [each.depth for each in depths] for name, depths in found.items()}


def _failing(trends: Trends, measured: AnyMeasured) -> list[FailingRow]:
    rows = []
    for each in trends.failing[:FAILING]:
        exception = next(iter(each.exceptions), "")
        rows.append(
            FailingRow(
                each.job,
                each.now.failed_attempts,
                exception,
                next(iter(each.queues), ""),
                each.since,
                max(len(each.exceptions) - 1, 0),
                throughput.failed_of(measured.of_class(each.job)),
            )
        )
    return rows


def _classes(trends: Trends, measured: AnyMeasured) -> list[ClassRow]:
    """By the time that they took."""
    by_class: defaultdict[str, list[PairCounts]] = defaultdict(list)
    for pair in trends.pairs:
        by_class[pair.job].append(pair)
    spent = Counter({name: sum(p.seconds for p in pairs) for name, pairs in by_class.items()})
    times = trends.run_times
    most = max(spent.values(), default=0.0) or 1.0
    return [
        ClassRow(
            name,
            sum(pair.counts.done for pair in by_class[name]),
            sum(pair.counts.failed_attempts for pair in by_class[name]),
            seconds / most,
            times.get(name),
            throughput.failed_of(measured.of_class(name)),
        )
        for name, seconds in spent.most_common(CLASSES)
    ]


def _hosts(snapshot: Snapshot) -> list[HostRow]:
    """Those in trouble first, then those that run the most."""

    def order(host: HostRow) -> tuple[bool, int, str]:
        return not _trouble(host), -host.held, host.name

    return sorted(snapshot.hosts, key=order)[:HOSTS]


def _trouble(host: HostRow) -> bool:
    return any(each.state in ("blocked", "frozen", "silent", "fenced") for each in host.processes)


def _sum_of_cpu(snapshot: Snapshot) -> float | None:
    known = [host.cpu_share for host in snapshot.hosts if host.cpu_share is not None]
    return sum(known) if known else None


def box_of(process: ProcessRow) -> tuple[float, str]:
    """A box of a process: how full it is, and the class of its look."""
    part = process.threads_used / process.threads if process.threads else 0.0
    states = {"blocked": "block", "frozen": "block", "silent": "gone", "fenced": "gone",
              "draining": "drain", "paused": "drain"}  # fmt: skip
    return part, states.get(process.state, "")
