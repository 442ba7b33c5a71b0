"""Series of metrics as charts and sparklines."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from markupsafe import Markup

from gresque.formats import rate, rough
from gresque.inspector.metrics import Mark, Series, Step
from gresque.text import counted
from gresque.web import charts

MOST_POINTS = 300
FEW_SECONDS = 10
"""The current minute has no rate before that."""
_TICKS = {
    "10m": ("10 min ago", "8", "6", "4", "2", "now"),
    "1h": ("1 h ago", "45 min", "30", "15", "now"),
}
_CLOCK_TICKS = {"8h": 4, "24h": 4, "3d": 3}
NAMES = {"10m": "10 min", "1h": "1 h", "8h": "8 h", "24h": "24 h", "3d": "3 d"}


def chart(name: str, series: Series, marks: Iterable[Mark], width: int) -> Markup | None:
    """Done and failed over the span of this name; None where nothing ended in it."""
    points = series.points
    if points and points[-1].seconds < min(FEW_SECONDS, series.step.seconds):
        points = points[:-1]
    if len(points) < 2 or not series.total.attempts:
        return None
    by_minute = series.step is not Step.SECOND
    times = 60 if by_minute else 1
    done = thinned([each.done_rate * times for each in points])
    failed = thinned([each.failed_rate * times for each in points])
    first, last = points[0].at, points[-1].at + series.step.seconds
    shown = [
        charts.Mark((mark.at - first) / (last - first), mark.sentence or mark.kind)
        for mark in marks
        if first <= mark.at <= last and mark.kind in ("mark", "recovery", "pause", "unpause")
    ]
    unit = "/min" if by_minute else "/s"
    label = (
        f"Done and failed jobs over {NAMES[name]}. Done: now {rate(done[-1])} {unit}, at most "
        f"{rate(max(done))}. Failed: now {rate(failed[-1])} {unit}, at most {rate(max(failed))}. "
        f"{counted(len(shown), 'mark')}."
    )
    return charts.throughput(
        done, failed, label, unit=unit, ticks=_ticks(name, first, last), marks=shown, width=width
    )


def thinned(values: Sequence[float], most: int = MOST_POINTS) -> list[float]:
    """At most this number of values; each one is the mean of several where there are more."""
    size = -(-len(values) // most)
    return [
        sum(values[start : start + size]) / len(values[start : start + size])
        for start in range(0, len(values), size)
    ]


def failed_of(series: Series) -> list[float]:
    return [each.failed_rate for each in series.points]


def since(at: float, now: float) -> str:
    """`12 s ago`, or a time of the day for what is older than an hour."""
    age = max(now - at, 0.0)
    return f"{rough(age)} ago" if age < 3600 else _clock(at)


def _ticks(name: str, first: float, last: float) -> list[charts.Tick]:
    texts = _TICKS.get(name)
    if texts is None:
        parts = _CLOCK_TICKS[name]
        length = last - first
        texts = tuple(_clock(first + length * part / parts) for part in range(parts + 1))
    return [charts.Tick(number / (len(texts) - 1), text) for number, text in enumerate(texts)]


def _clock(at: float) -> str:
    return time.strftime("%H:%M", time.gmtime(at))
