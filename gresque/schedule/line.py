"""Cron lines: five fields, six with the seconds first, and a zone at the end. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from gresque.errors import NotReadableHere, ScheduleError
from gresque.schedule.zones import zone

if TYPE_CHECKING:
    from cronsim import CronSim

NO_TIME, MINUTE = timedelta(0), timedelta(minutes=1)
LONGEST_REPEAT = timedelta(hours=3)
"""By more than this no clocks are set back."""

LONGEST_LINE = 1000
"""One that lists each minute, hour, day, month and weekday has half of that."""

SHORTCUTS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

FIELDS = {
    "second": "0-59",
    "minute": "0-59",
    "hour": "0-23",
    "day-of-month": "1-31, or L for the last day",
    "month": "1-12 or JAN-DEC",
    "day-of-week": "0-7 (0 and 7 are Sunday) or SUN-SAT",
}
"""Field, as cronsim names it -> what it takes, in the order of a line with seconds."""

_WEEKDAYS = re.compile(r"(SUN|MON|TUE|WED|THU|FRI|SAT)([-,#/].*)?", re.IGNORECASE)


class Gap(NamedTuple):
    """A time of a line that the clocks pass over."""

    day: date
    local: str
    """The time that there is not: `02:30`."""
    runs_at: str | None
    """The time at which it runs instead; None when it does not run on that day."""


class CronLine:
    """When a cron line is due, in its zone.

    A line whose minutes and hours are fixed runs once a day for each of its times: a time that the
    clocks pass over in spring runs at the end of the gap, and one that they show twice in autumn
    runs the first time. Any other line runs whenever the clocks show one of its times. (Debian's
    cron has the same rules.)
    """

    def __init__(self, line: str, tz: str | None = None) -> None:
        """Raises ScheduleError."""
        if not isinstance(line, str):
            raise ScheduleError(f"{line!r} is not a cron line; write one such as '*/5 * * * *'")
        if tz is not None and not isinstance(tz, str):
            raise ScheduleError(f"tz={tz!r} is no zone; give its name, such as 'Europe/Berlin'")
        if len(line) > LONGEST_LINE:
            raise ScheduleError(f"the cron line {line[:40]!r}… is longer than {LONGEST_LINE} signs")
        fields, own = _split(line)
        if own and tz and own != tz:
            raise ScheduleError(
                f"the cron line {line!r} has the zone {own} and tz={tz!r} another; give it once"
            )
        self.tz = own or tz or "UTC"
        self.zone: tzinfo = zone(self.tz)
        self.line = " ".join(fields)
        seconds, *minutely = fields if len(fields) == 6 else ("0", *fields)
        self._minutely = " ".join(minutely)
        self._seconds = sorted(_sim(f"{seconds} {self._minutely}", line).seconds)
        self._minute, self._hour = minutely[:2]
        if self.next_after(0) is None:
            raise ScheduleError(f"the cron line {line!r} is never due; there is no such date")

    @property
    def text(self) -> str:
        return self.line if self.tz == "UTC" else f"{self.line} {self.tz}"

    def next_after(self, ms: int) -> int | None:
        """The first time after `ms`, both in epoch milliseconds; None when there is none within 50
        years."""
        return next(self.after(ms), None)

    def after(self, ms: int) -> Iterator[int]:
        """All times after `ms`, in order."""
        for minute in self._minutes(datetime.fromtimestamp(ms // 1000, UTC)):
            first = int(minute.timestamp()) * 1000
            for second in self._seconds:
                found = first + 1000 * second
                if found > ms:
                    yield found
                    ms = found

    def _minutes(self, start: datetime) -> Iterator[datetime]:
        """The minutes that are due, in real time, from one that is not after `start`."""
        # cronsim counts on the clock face; what of it is real, and when, is found here: its own
        # rules fail where the clocks move by half an hour.
        before, after = start - LONGEST_REPEAT, start + LONGEST_REPEAT
        moves = _offset(before.astimezone(self.zone)) != _offset(after.astimezone(self.zone))
        first = start - (LONGEST_REPEAT if moves else MINUTE)
        face = first.astimezone(self.zone).replace(tzinfo=None)
        again: list[datetime] = []
        """Times that the clocks show for the second time, still to come."""
        for shown in _sim(self._minutely, self.line, face):
            once = shown.replace(tzinfo=self.zone)
            twice = once.replace(fold=1)
            forward = _offset(twice) - _offset(once)
            if forward > NO_TIME:  # the clocks pass it over
                if self.is_fixed:
                    yield _end_of_gap(once)
                continue
            while again and again[0] < once.astimezone(UTC):
                yield again.pop(0)
            yield once.astimezone(UTC)
            if forward < NO_TIME and not self.is_fixed:
                again.append(twice.astimezone(UTC))

    @cached_property
    def is_fixed(self) -> bool:
        """Whether minutes and hours are fixed times of a day."""
        return not self._minute.startswith("*") and not self._hour.startswith("*")

    def gap(self, ms: int) -> Gap | None:
        """The first of its times within a year after `ms` that the clocks pass over, if any. A line
        for every hour has none: it just goes on with the next one."""
        if self.tz == "UTC" or self._hour.startswith("*"):
            return None
        start = datetime.fromtimestamp(ms // 1000, UTC).replace(minute=0, second=0)
        for hours in range(366 * 24):
            before = start + timedelta(hours=hours)
            found = self._gap_within(before, before + timedelta(hours=1))
            if found is not None:
                return found
        return None

    def _gap_within(self, before: datetime, after: datetime) -> Gap | None:
        """The time that is passed over between these two, which are an hour apart."""
        here, there = before.astimezone(self.zone), after.astimezone(self.zone)
        forward = _offset(there) - _offset(here)
        if forward <= NO_TIME:
            return None
        local = here.replace(tzinfo=None)
        while not _is_passed_over(local.replace(tzinfo=self.zone)):
            local += MINUTE
        end = local + forward
        missing = next(_sim(self._minutely, self.line, local - MINUTE))
        if missing >= end:
            return None
        runs_at = end.replace(tzinfo=self.zone).isoformat()[11:16] if self.is_fixed else None
        return Gap(missing.date(), f"{missing:%H:%M}", runs_at)


def _split(line: str) -> tuple[list[str], str | None]:
    """The fields of a line, and its zone if it has one."""
    words = line.split()
    if words and words[0].startswith("@"):
        known = SHORTCUTS.get(words[0].lower())
        if known is None:
            raise ScheduleError(
                f"the cron line {line!r} is unknown; write one of {', '.join(SHORTCUTS)}, or five "
                "fields such as '*/5 * * * *'"
            )
        words[:1] = known.split()
    name = None
    if len(words) > 5 and words[-1][0].isalpha() and not _WEEKDAYS.fullmatch(words[-1]):
        name = words.pop()
        zone(name)
    if len(words) not in (5, 6):
        raise ScheduleError(
            f"the cron line {line!r} has {len(words)} field{'' if len(words) == 1 else 's'}; write "
            "five, 'minute hour day month weekday', with the second before them and a zone behind "
            "them if you want, such as '30 2 * * MON-FRI Europe/Berlin'"
        )
    return words, name


def _sim(fields: str, line: str, start: datetime = datetime(2000, 1, 1)) -> CronSim:
    """Raises ScheduleError."""
    try:
        from cronsim import CronSim, CronSimError
    except ImportError:
        raise NotReadableHere(
            "cron lines need the package cronsim: pip install 'gresque[cron]'"
        ) from None
    try:
        return CronSim(fields, start)
    except CronSimError as error:
        raise ScheduleError(_explain(str(error), fields, line)) from None


def _explain(error: str, fields: str, line: str) -> str:
    name = error.removeprefix("Bad ")
    words = dict(zip(FIELDS, fields.split(), strict=False))
    if name not in FIELDS or len(words) != len(FIELDS):
        return f"the cron line {line!r} cannot be read: {error}"
    if name == "day-of-month" and words[name].isdigit() and 1 <= int(words[name]) <= 31:
        return f"the cron line {line!r}: month {words['month']!r} has no day {words[name]}"
    return f"the cron line {line!r}: its {name} {words[name]!r} is wrong; write {FIELDS[name]}"


def _offset(moment: datetime) -> timedelta:
    return moment.utcoffset() or NO_TIME


def _is_passed_over(moment: datetime) -> bool:
    return _offset(moment.replace(fold=1)) > _offset(moment)


def _end_of_gap(moment: datetime) -> datetime:
    """The first time that the clocks show after this one, which they pass over."""
    while _is_passed_over(moment):
        moment += MINUTE
    return moment.astimezone(UTC)
