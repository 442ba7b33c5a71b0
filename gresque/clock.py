"""Times as text: the formats of Resque, of the log and of listings. All are in UTC.

A function that writes takes seconds since the epoch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

now: Callable[[], float] = time.time
"""Epoch seconds, for the times that payloads carry. A test may put another clock here, so modules
call it as `clock.now()`."""
now_ns: Callable[[], int] = time.time_ns
"""The same in nanoseconds."""


def iso_8601(epoch_seconds: float) -> str:
    """Resque's format of heartbeats: `2026-11-23T15:33:10+00:00`."""
    return _format("%Y-%m-%dT%H:%M:%S+00:00", epoch_seconds)


def parse_iso_8601(text: str) -> float | None:
    """Seconds since the epoch; None for a text that is no time. Without a zone it is UTC.

    Ruby writes the zone of its machine, so another program's heartbeat can have any.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def started(epoch_seconds: float) -> str:
    """Resque's format of a worker's start: `2026-11-23 15:33:10 +0000`."""
    return _format("%Y-%m-%d %H:%M:%S +0000", epoch_seconds)


def failed_at(epoch_seconds: float) -> str:
    """Resque's format of `failed_at`: `2026/11/23 15:33:14 UTC`."""
    return _format("%Y/%m/%d %H:%M:%S UTC", epoch_seconds)


def retried_at(epoch_seconds: float) -> str:
    """Resque's format of `retried_at`, which names no zone: `2026/11/23 15:33:14`."""
    return _format("%Y/%m/%d %H:%M:%S", epoch_seconds)


def log_time(epoch_seconds: float, milliseconds: float) -> str:
    """The time of a log record: `2026-11-24T01:02:03.456Z`. The fraction is given apart."""
    second = _format("%Y-%m-%dT%H:%M:%S", epoch_seconds)
    return f"{second}.{int(milliseconds):03d}Z"


def duration(seconds: float | None) -> str:
    """`0.5 s`, `42 s`, `7 min`, `3.2 h`, `5.1 d`; a dash for None."""
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{seconds:.1f} s"
    for unit, size in (("d", 86_400), ("h", 3_600)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def _format(pattern: str, epoch_seconds: float) -> str:
    return _format_second(pattern, math.floor(epoch_seconds))


@lru_cache(maxsize=4)
def _format_second(pattern: str, epoch_seconds: int) -> str:
    """Jobs fail by the thousand in one second."""
    return time.strftime(pattern, time.gmtime(epoch_seconds))
