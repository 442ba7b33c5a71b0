"""The fields of metrics: how what was counted in a second, a minute, ten minutes is named. Pure.

The hashes of seconds (`metrics:second:<minute>`) have the fields `7d`, `7f`, `7r`: what was done,
failed and was retried in the eighth second of that minute. Those of minutes and of tens of minutes
have `d`, `f`, `r` for all jobs, and for each queue and class `d|queue|class` and so on; `s|…`, the
milliseconds of those runs that took 5 or more; `x|queue|class|exception`, failed attempts.
`metrics:times` has histograms: `t|class|bucket` of run times, `w|queue|bucket` of waiting times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from gresque.store.keys import Keys

SECOND_KEPT = 20 * 60
MINUTE_KEPT = 8 * 3600 + 600
TEN_KEPT = 3 * 86_400
"""Seconds for which a hash of each span is kept after the last write."""

MOST_MARKS = 1000
MARKS_KEPT = 3 * 86_400
"""Seconds after the last one."""

HEADS_KEPT = 3600
"""Seconds after the last look."""

MOST_FIELDS = 2000
"""Fields of one hash. What comes on top is counted for the queue and class `*`."""
OTHERS = "*"

SHORT_SECONDS = 0.005
"""Bucket 0 of a histogram. Each further one is as wide as all before it together."""
BUCKETS = 26

NAME_CHARACTERS = 200
"""Of a queue, class or exception; longer names are cut."""


class Counts(NamedTuple):
    """Jobs that are done, those that failed, and attempts that failed and are followed by another
    one."""

    done: int = 0
    failed: int = 0
    retried: int = 0

    @property
    def attempts(self) -> int:
        return self.done + self.failed + self.retried

    @property
    def failed_attempts(self) -> int:
        return self.failed + self.retried

    def plus(self, other: Counts) -> Counts:
        return Counts(*(a + b for a, b in zip(self, other, strict=True)))


def bucket_of(seconds: float) -> int:
    """The bucket of a histogram: 0 below SHORT_SECONDS, 1 below the double, and so on."""
    return min(int(max(seconds, 0.0) / SHORT_SECONDS).bit_length(), BUCKETS - 1)


def quantile(buckets: Sequence[int], share: float) -> float:
    """The seconds within which this share of what a histogram counts lies, 0.95 for the 95th
    percentile: exact to the width of a bucket."""
    wanted, below = sum(buckets) * share, 0
    for bucket, count in enumerate(buckets):
        if count and below + count >= wanted:
            last = SHORT_SECONDS * (1 << bucket)
            first = last / 2 if bucket else 0.0
            return first + (last - first) * (wanted - below) / count
        below += count
    return 0.0


def field(*parts: str) -> str:
    """A field of a hash: without a blank, and with a bar between the parts alone."""
    return "|".join(map(_part, parts))


def _part(name: str) -> str:
    if len(name) > NAME_CHARACTERS:
        name = name[: NAME_CHARACTERS - 1] + "…"
    if name.isprintable() and not set(name) & _ESCAPED:
        return name
    return "".join(map(_escape, name))


_ESCAPED = set(" |%")


def _escape(char: str) -> str:
    if "\ud800" <= char <= "\udfff":  # a byte that is not UTF-8
        return f"%{ord(char) - 0xDC00:02X}" if "\udc80" <= char <= "\udcff" else "?"
    return f"%{ord(char):02X}" if char <= " " or char in "|%\x7f" else char


class Counted(Protocol):
    """Counts of one second since 1970 (see `processes.sums.Sums`)."""

    second: int
    totals: dict[str, int]
    counts: dict[str, int]
    times: dict[str, int]


class SumsOfHash(NamedTuple):
    """The counts that come to one hash, by its fields; how long that is kept, in seconds, and how
    many fields it may have."""

    key: str
    kept: int
    most: int
    fields: dict[str, int]


def hashes_of(keys: Keys, counted: Counted) -> list[SumsOfHash]:
    """The hashes to which these counts come."""
    minute, second = divmod(counted.second, 60)
    seconds = {f"{second}{kind}": count for kind, count in counted.totals.items()}
    both = counted.totals | counted.counts
    found = (
        SumsOfHash(keys.metrics("second", minute), SECOND_KEPT, 0, seconds),
        SumsOfHash(keys.metrics("minute", minute), MINUTE_KEPT, MOST_FIELDS, both),
        SumsOfHash(keys.metrics("ten", minute // 10), TEN_KEPT, MOST_FIELDS, both),
        SumsOfHash(keys.metrics("times", minute // 10), TEN_KEPT, MOST_FIELDS, counted.times),
    )
    return [each for each in found if each.fields]


def counts_of(fields: Mapping[str, int]) -> str:
    """As the scripts take them (`lua/include/add_sums.lua`)."""
    return " ".join(f"{name} {count}" for name, count in fields.items())
