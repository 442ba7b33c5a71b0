"""What the metrics say of the last minutes and hours, for the charts and tables of pages."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gresque.inspector.failing_classes import FailingClass
from gresque.inspector.metrics import Depth, Mark, MetricsReader, Series, Step, Times
from gresque.inspector.pair_counts import PairCounts
from gresque.store.store import Store

SECONDS = 600
OPEN = 20
"""The last seconds, which are read each time: processes may write what ended in them later."""
DAY = 86_400.0
FAILING_EVERY = 2.0
REST_EVERY = 10.0
OUT_MINUTES = 2
"""How fast jobs leave a queue is measured over the current minute and the last one."""


@dataclass(frozen=True)
class Trends:
    """`seconds` are the last ten minutes. `failing` are the classes that fail now, 2 s old at most;
    the rest is 10 s old at most: `tens` the last 24 hours by ten minutes, `pairs` the last hour by
    queue and class, `run_times` that by class, `depths` the last 30 minutes by queue, `marks` the
    last day. `out_rates` are jobs a second that end, by queue."""

    seconds: Series
    failing: list[FailingClass]
    tens: Series
    pairs: list[PairCounts]
    run_times: dict[str, Times]
    depths: dict[str, list[Depth]]
    marks: tuple[Mark, ...]
    out_rates: dict[str, float]

    @property
    def are_kept(self) -> bool:
        """Whether something was counted in the last day: metrics may be off."""
        return self.tens.total.attempts > 0


class TrendsReader:
    """Reads each part as often as it changes. One thread calls it."""

    def __init__(self, store: Store) -> None:
        self._reader = MetricsReader(store)
        self._last: Trends | None = None
        self._failing_at = self._rest_at = 0.0

    def read(self, now: float) -> Trends:
        """`now` is the server's time. Raises redis-py's errors."""
        seconds = self._seconds(now)
        found = self._last
        if found is None or now >= self._rest_at:
            self._rest_at = now + REST_EVERY
            found = self._rest(seconds, now)
        elif now >= self._failing_at:
            found = replace(found, failing=self._reader.failing(now=now))
        else:
            self._last = replace(found, seconds=seconds)
            return self._last
        self._failing_at = now + FAILING_EVERY
        self._last = replace(found, seconds=seconds)
        return self._last

    def _seconds(self, now: float) -> Series:
        """Only the last ones can have changed."""
        new = self._reader.series(Step.SECOND, length=OPEN, now=now)
        first = new.points[0].at
        known = self._last.seconds.points if self._last is not None else ()
        kept = [point for point in known if point.at < first]
        if not kept or kept[-1].at < first - 1:
            return self._reader.series(Step.SECOND, length=SECONDS, now=now)
        return Series(Step.SECOND, (*kept, *new.points)[-SECONDS:])

    def _rest(self, seconds: Series, now: float) -> Trends:
        reader = self._reader
        span = (OUT_MINUTES - 1) * 60 + max(now % 60, 1.0)
        out: dict[str, float] = {}
        for pair in reader.pairs(OUT_MINUTES, now=now):
            out[pair.queue] = out.get(pair.queue, 0.0) + pair.counts.attempts / span
        return Trends(
            seconds=seconds,
            failing=reader.failing(now=now),
            tens=reader.series(Step.TEN_MINUTES, length=144, now=now),
            pairs=reader.pairs(now=now),
            run_times=reader.run_times(now=now),
            depths=reader.depths(now=now),
            marks=tuple(reader.marks(now - DAY)),
            out_rates=out,
        )
