"""Times as a program gives them: delays, and points in time. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sized
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import NamedTuple

import gresque.clock as clock
from gresque.errors import EnqueueError
from gresque.seconds import is_number, seconds_of
from gresque.store.later_job import LATEST_MS

LATEST_SECONDS = LATEST_MS // 1000

Delay = float | timedelta
"""Seconds, or a timedelta."""
Moment = float | datetime
"""Seconds since the epoch, or a datetime with a time zone."""

_GOLDEN = (math.sqrt(5) - 1) / 2


class When(NamedTuple):
    """When a job is due."""

    is_delay: bool
    """From the server's time on; else it is a time of the epoch."""
    seconds: float

    def run_at(self, after: float = 0.0) -> float:
        """Seconds of the epoch; for a delay by this program's clock."""
        return round(self.seconds + after + (clock.now() if self.is_delay else 0), 3)

    def milliseconds(self, after: float = 0.0) -> int:
        """As scripts take it: rounded up, so that no job is early."""
        return math.ceil(round((self.seconds + after) * 1000, 3))

    def options(self, after: float = 0.0) -> dict[str, float]:
        """As options of a call."""
        return {"in_" if self.is_delay else "at": self.seconds + after}


NOW = When(True, 0.0)


def delay(value: object) -> When:
    """Raises EnqueueError, which says what to write, for what is no delay."""
    seconds = seconds_of(value)
    if seconds is None:
        if isinstance(value, date):
            raise EnqueueError(f"{value!r} is a point in time; give it as at=, or to enqueue_at")
        finite = "a finite number of " if _is_endless(value) else ""
        raise EnqueueError(
            f"{_cut(value)} is no delay; give {finite}seconds, such as 300, or a timedelta"
        )
    if seconds < 0:
        raise EnqueueError(f"{value!r} is a negative delay; give 0 for a job that runs at once")
    _check_latest(clock.now() + seconds, value)
    return When(True, float(seconds))


def at(value: object) -> When:
    """A point in time. Raises EnqueueError, which says what to write, for what is none."""
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise EnqueueError(
                f"{_naive(value)} has no time zone; write {_naive(value)[:-1]}, "
                'tzinfo=ZoneInfo("Europe/Berlin")), or tzinfo=UTC'
            )
        seconds = value.timestamp()
    elif is_number(value):
        seconds = value
    elif isinstance(value, timedelta):
        raise EnqueueError(f"{value!r} is a delay; give it as in_=, or to enqueue_in")
    elif _is_endless(value):
        raise EnqueueError(
            f"{_cut(value)} is no point in time; give finite seconds since the epoch"
        )
    else:
        raise EnqueueError(
            f"{value!r} is no point in time; give a datetime with a time zone, such as "
            'datetime.fromisoformat("2026-12-01T09:00+01:00"), or seconds since the epoch'
        )
    _check_latest(seconds, value)
    return When(False, float(seconds))


def one_of(in_: object = None, at_: object = None) -> When | None:
    """What a call asks for by `in_` or `at`; None for neither."""
    if in_ is not None and at_ is not None:
        raise EnqueueError("give either in_ or at, not both")
    if in_ is not None:
        return delay(in_)
    return None if at_ is None else at(at_)


def offsets(spread: object, calls: Iterable[object]) -> Iterator[float]:
    """For each call of a bulk the seconds after its time, evenly over `spread` seconds. A list, and
    what else has a length, keeps its order; the calls of a generator are spread in no order, as
    their number shows only at the end."""
    seconds = delay(spread).seconds
    if isinstance(calls, Sized):
        total = max(len(calls), 1)
        return (seconds * position / total for position in count())
    return (seconds * (position * _GOLDEN % 1) for position in count())


def utc(epoch_ms: float) -> datetime:
    """Milliseconds of the epoch as a datetime."""
    return datetime.fromtimestamp(min(max(epoch_ms, 0), LATEST_MS) / 1000, UTC)


def _is_endless(value: object) -> bool:
    """NaN, an infinite number, or an int over the range of a float."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cut(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:99]}…"


def _naive(value: datetime) -> str:
    return repr(value).removeprefix("datetime.")


def _check_latest(epoch_seconds: float, value: object) -> None:
    if epoch_seconds > LATEST_SECONDS:
        raise EnqueueError(
            f"{value!r} is beyond the year 9999; times are in seconds, not in milliseconds"
        )
