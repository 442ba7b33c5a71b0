"""Metrics: what was counted in each second, minute and ten minutes, and how fields name it.

The hashes of seconds (`metrics:second:<minute>`) have the fields `7d`, `7f`, `7r`: what was done,
failed and was retried in the eighth second of that minute. Those of minutes and of tens of minutes
have `d`, `f`, `r` for all jobs, and for each queue and class `d|queue|class` and so on; `s|…`, the
milliseconds of those runs that took 5 or more; `x|queue|class|exception`, failed attempts.
`metrics:times` has histograms: `t|class|bucket` of run times, `w|queue|bucket` of waiting times.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

from gresque.store.keys import Keys
from gresque.store.server import Server
from gresque.text import decoded, encoded

SECOND_KEPT = 20 * 60
MINUTE_KEPT = 8 * 3600 + 600
TEN_KEPT = 3 * 86_400
"""Seconds for which a hash of each span is kept after the last write."""

MOST_MARKS = 1000
MARKS_KEPT = 3 * 86_400
"""Seconds after the last one."""

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
    if not _needs_escape(name):
        return name
    return "".join(f"%{ord(c):02X}" if c <= " " or c in "|%\x7f" else c for c in name)


def _needs_escape(name: str) -> bool:
    return not name.isprintable() or " " in name or "|" in name or "%" in name


def parts_of(raw: bytes) -> list[str]:
    """The parts of a field."""
    name = decoded(raw)
    if "%" not in name:
        return name.split("|")
    return [unquote(part, errors="surrogateescape") for part in name.split("|")]


class Metrics:
    """Reads of the hashes of metrics, several in one round trip."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @property
    def keys(self) -> Keys:
        return self._server.keys

    def hashes(self, keys: Sequence[str]) -> list[dict[bytes, int]]:
        """These hashes of counts, whole. Fields that are no numbers count for nothing."""
        pipeline = self._server.redis.pipeline(transaction=False)
        for key in keys:
            pipeline.hgetall(encoded(key))
        return [numbers(found) for found in self._replies(pipeline, keys, {})]

    def totals(self, keys: Sequence[str]) -> list[Counts]:
        """The counts of all jobs in these hashes of minutes or of tens of minutes."""
        pipeline = self._server.redis.pipeline(transaction=False)
        for key in keys:
            pipeline.hmget(encoded(key), "d", "f", "r")
        nothing: list[bytes | None] = [None] * 3
        return [
            Counts(*(as_number(each) for each in found))
            for found in self._replies(pipeline, keys, nothing)
        ]

    def depths(self, keys: Sequence[str]) -> list[dict[bytes, bytes]]:
        """These hashes of depths, as they are (see `maintenance/sample.py`)."""
        pipeline = self._server.redis.pipeline(transaction=False)
        for key in keys:
            pipeline.hgetall(encoded(key))
        return self._replies(pipeline, keys, {})

    def marks(self, since_ms: int, most: int) -> list[tuple[bytes, dict[bytes, bytes]]]:
        """Entries of the stream of marks from this time on, the newest first."""
        found: list[Any] = self._server.read(
            [], "XREVRANGE", self.keys.marks, "+", since_ms, "COUNT", most
        )
        return [(name, _pairs(fields)) for name, fields in found]

    def mark(self, kind: str, text: str, by: str) -> None:
        """Add a mark of this moment, by the server's clock (see `inspector.metrics.Mark`)."""
        key = encoded(self.keys.marks)
        pipeline = self._server.redis.pipeline(transaction=False)
        entry: Any = {"kind": kind, "text": encoded(text), "by": encoded(by)}
        pipeline.xadd(key, entry, maxlen=MOST_MARKS)
        pipeline.expire(key, MARKS_KEPT)
        self._server.ask(None, self.keys.marks, pipeline.execute, "the mark is not kept")

    def _replies(self, pipeline: Any, keys: Sequence[str], empty: Any) -> list[Any]:
        raws = pipeline.execute(raise_on_error=False) if keys else []
        return [self._server.reply(empty, key, raw) for key, raw in zip(keys, raws, strict=True)]


def _pairs(fields: Any) -> dict[bytes, bytes]:
    """redis-py gives the fields of an entry as a list or as a dict, by the protocol."""
    if isinstance(fields, Mapping):
        return dict(fields)
    flat: Iterable[bytes] = fields
    names = iter(flat)
    return dict(zip(names, names, strict=False))


def numbers(found: Mapping[bytes, bytes]) -> dict[bytes, int]:
    return {name: as_number(value) for name, value in found.items()}


def as_number(value: bytes | None) -> int:
    try:
        return int(value or 0)
    except ValueError:
        return 0
