"""The groups of failed jobs: what failed how, and where in the user's code. No Redis."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import msgspec

from gresque.errors import GresqueError
from gresque.failure.failed_time import failed_seconds
from gresque.failure.search import Item, Wanted, frame_of, glance
from gresque.inspector.filters import ID, TEXT, WantedFailed
from gresque.jobs.activejob import class_in_entry

MOST_GROUPS = 20_000
"""The failures of further groups are counted together, without names."""
UNKNOWN = 0
"""The number of the group of an entry that was not read yet."""
OTHERS = MOST_GROUPS + 1
"""The number of all further groups."""
RETRIED = 1 << 31
"""Added to the minute of an entry whose job was retried."""
SAMPLE_CHARS = 300
HOURS = 48
"""For this long a group counts its failures by the hour."""
_KNOWN_BACKTRACES = 20_000


class GroupKey(NamedTuple):
    """Failures of one class, with one exception, from one queue, that broke at one line of the
    user's code; None where entries have none."""

    job_class: str | None = None
    exception: str | None = None
    queue: str | None = None
    frame: str | None = None

    def matches(self, wanted: Wanted) -> bool:
        """Whether its failures may be wanted: a text, or an id, is not looked for."""
        if isinstance(wanted, WantedFailed) and not wanted.filter.minus(TEXT).minus(ID).matches(
            job_class=self.job_class, queue=self.queue, exception=self.exception
        ):
            return False
        return (
            wanted.job_class in (None, self.job_class)
            and wanted.exception in (None, self.exception)
            and wanted.queue in (None, self.queue)
            and wanted.frame in (None, self.frame)
            and all(getattr(self, field) is None for field in wanted.absent)
        )

    @property
    def absent(self) -> frozenset[str]:
        """The fields that its entries do not have."""
        return frozenset(name for name, value in self._asdict().items() if value is None)


@dataclass
class FailedGroup:
    """A group, as far as it was counted. `retried` of its `count` failures were retried. Times are
    epoch seconds, to the minute; 0 where entries give none. `hours` is epoch hour -> failures.
    `error` is the message of the newest failure that was read first."""

    key: GroupKey
    error: str = ""
    count: int = 0
    retried: int = 0
    first: int = 0
    last: int = 0
    hours: Counter[int] = field(default_factory=Counter)
    is_rest: bool = False
    """It stands for all groups beyond MOST_GROUPS."""

    @property
    def wanted(self) -> WantedFailed:
        """Its failures and no others. Raises GresqueError for the group that stands for many."""
        if self.is_rest:
            raise GresqueError("these are the rest of too many groups; filter by class first")
        return WantedFailed(**self.key._asdict(), absent=self.key.absent)

    @property
    def waiting(self) -> int:
        """Those that a retry of the whole group retries."""
        return self.count - self.retried

    def by_hour(self, now: float, hours: int = 24) -> list[int]:
        """Its failures of the last hours, the oldest hour first."""
        this = int(now // 3600)
        return [self.hours.get(hour, 0) for hour in range(this - hours + 1, this + 1)]


class _Seen(msgspec.Struct):
    payload: Item | None = None
    exception: str | None = None
    error: msgspec.Raw = msgspec.Raw(b"null")
    queue: str | None = None
    failed_at: str | None = None
    retried_at: str | None = None
    backtrace: msgspec.Raw = msgspec.Raw(b"null")


_decode = msgspec.json.Decoder(_Seen).decode


class GroupTable:
    """Numbers for groups, and their counts."""

    def __init__(self) -> None:
        self._numbers: dict[GroupKey, int] = {}
        self._groups: list[FailedGroup] = [FailedGroup(GroupKey())]
        self._by_backtrace: dict[tuple[str | None, str | None, str | None, int], int] = {}
        self._rest = FailedGroup(GroupKey(), is_rest=True)

    def group(self, number: int) -> FailedGroup:
        return self._rest if number == OTHERS else self._groups[number]

    def all(self) -> list[FailedGroup]:
        """Those that have failures, the largest first."""
        found = [each for each in (*self._groups[1:], self._rest) if each.count]
        return sorted(found, key=lambda each: (-each.count, -each.last))

    def matching(self, wanted: Wanted) -> frozenset[int]:
        """The numbers of the groups that are wanted."""
        found = {n for key, n in self._numbers.items() if key.matches(wanted)}
        return frozenset(found | {OTHERS} if not wanted else found)

    def read(self, raw: bytes, otherwise: int = 0) -> tuple[int, int]:
        """The number of an entry's group, and the minute of its failure, with RETRIED; `otherwise`
        is the minute of one that gives no time. Nothing is counted."""
        try:
            seen = _decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            seen = _seen(raw)
        backtrace = bytes(seen.backtrace)
        name = class_in_entry(seen.payload.name, raw) if seen.payload else None
        known = (name, seen.exception, seen.queue, hash(backtrace))
        number = self._by_backtrace.get(known)
        if number is None:
            number = self._number(
                GroupKey(name, seen.exception, seen.queue, frame_of(backtrace)), seen.error
            )
            if len(self._by_backtrace) >= _KNOWN_BACKTRACES:
                self._by_backtrace.clear()
            self._by_backtrace[known] = number
        at = seen.failed_at or ""
        # Ruby and gresque write `2026/11/23 15:33:14 UTC`; of other forms all is needed.
        minute = _minute(f"{at[:16]}:00" if at[4:5] == "/" else at[:64]) or otherwise & ~RETRIED
        return number, minute | RETRIED if seen.retried_at else minute

    def _number(self, key: GroupKey, error: msgspec.Raw) -> int:
        found = self._numbers.get(key)
        if found is not None:
            return found
        if len(self._groups) > MOST_GROUPS:
            return OTHERS
        number = self._numbers[key] = len(self._groups)
        self._groups.append(FailedGroup(key, _sample(error)))
        return number

    def add(self, number: int, minute: int) -> None:
        """Count an entry."""
        group = self.group(number)
        group.count += 1
        if minute >= RETRIED:
            group.retried += 1
            minute -= RETRIED
        at = minute * 60
        if at > group.last:
            group.last = at
        if at < group.first or not group.first:
            group.first = at
        group.hours[minute // 60] += 1
        if len(group.hours) > 2 * HOURS:
            newest = max(group.hours)
            for hour in [each for each in group.hours if each <= newest - HOURS]:
                del group.hours[hour]

    def take(self, number: int, minute: int) -> None:
        """Count an entry no more. The group's first and last time stay."""
        group = self.group(number)
        group.count -= 1
        if minute >= RETRIED:
            group.retried -= 1
            minute -= RETRIED
        if group.hours.get(minute // 60):
            group.hours[minute // 60] -= 1

    def mark(self, number: int) -> None:
        """One of its entries was retried."""
        self.group(number).retried += 1


def _seen(raw: bytes) -> _Seen:
    """Of an entry whose fields have other types, or that is none."""
    found = glance(raw)
    return _Seen(
        found.payload,
        found.exception,
        msgspec.Raw(msgspec.json.encode(found.error)),
        found.queue,
        found.failed_at,
        found.retried_at,
        found.backtrace,
    )


def _sample(error: msgspec.Raw) -> str:
    try:
        return msgspec.json.decode(error, type=str)[:SAMPLE_CHARS]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""


@lru_cache(maxsize=4096)
def _minute(text: str) -> int:
    """Epoch minutes; 0 for no time."""
    seconds = failed_seconds(text)
    return int(seconds // 60) if seconds is not None and 0 < seconds < RETRIED else 0
