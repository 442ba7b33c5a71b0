"""Intervals, counted from the epoch: each process finds the same times, whenever it started.
Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gresque.errors import ScheduleError
from gresque.seconds import seconds_of

UNITS = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}

_TEXT = re.compile(r"(?:\d+(?:\.\d+)?[wdhms])+")
_PART = re.compile(r"(\d+(?:\.\d+)?)([wdhms])")


class Every:
    """Due at each multiple of an interval since the epoch: `every 900` at :00, :15, :30 and :45."""

    tz = "UTC"

    def __init__(self, interval: object) -> None:
        """`interval` is a number of seconds, a timedelta, or a text such as "15m" or "1h30m".
        Raises ScheduleError."""
        self.seconds = _seconds(interval)
        self._ms = round(self.seconds * 1000)

    @property
    def text(self) -> str:
        left, words = self.seconds, []
        if left != int(left):
            return f"every {left:g}s"
        for unit, size in UNITS.items():
            count, left = divmod(left, size)
            if count:
                words.append(f"{count:g}{unit}")
        return "every " + "".join(words)

    def next_after(self, ms: int) -> int:
        """The first time after `ms`, both in epoch milliseconds."""
        return (ms // self._ms + 1) * self._ms

    def after(self, ms: int) -> Iterator[int]:
        """All times after `ms`, in order."""
        while True:
            ms = self.next_after(ms)
            yield ms


def _seconds(interval: object) -> float:
    seconds = seconds_of(interval)
    if isinstance(interval, str):
        if "M" in interval:
            raise ScheduleError(
                f"every {interval!r} is no interval: in Ruby M is a month; write '30d' for that, "
                "'1m' for a minute, or a cron line such as '0 0 1 * *'"
            )
        text = interval.replace(" ", "").lower()
        if _TEXT.fullmatch(text):
            seconds = sum(float(number) * UNITS[unit] for number, unit in _PART.findall(text))
    if seconds is None:
        raise ScheduleError(
            f"every {interval!r} is no interval; write a number of seconds, or a text such as "
            "'30s', '15m', '1h30m', '2d' or '1w'"
        )
    if not 1 <= seconds <= 3660 * 86_400:
        raise ScheduleError(f"every {interval!r} is no interval; write 1 s to 10 years")
    return float(seconds)
