"""Metrics in Redis: what was counted in each second, minute and ten minutes (see `metric_fields`),
and marks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote

from gresque.store.keys import Keys
from gresque.store.metric_fields import (
    HEADS_KEPT,
    MARKS_KEPT,
    MINUTE_KEPT,
    MOST_MARKS,
    Counted,
    Counts,
    counts_of,
    hashes_of,
)
from gresque.store.refusals import name_refused
from gresque.store.server import Server
from gresque.text import decoded, encoded

AT_ONCE = 500
HEADS_AT_ONCE = 500
"""Queues of one call; it takes the server half a millisecond."""
MOST_HEAD_BYTES = 4000
"""Of a longer item only the id is read."""


class Head(NamedTuple):
    """A queue in which something waits: how many jobs, suspects apart, the next one's item, or
    what is left of a long one, and 8 hex digits of it."""

    queue: str
    depth: int
    item: bytes
    digits: str


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

    def heads(self, queues: Sequence[str]) -> list[Head]:
        """Those of these queues in which something waits."""
        found = []
        for start in range(0, len(queues), HEADS_AT_ONCE):
            names = queues[start : start + HEADS_AT_ONCE]
            keys = [encoded(self.keys.queue(name)) for name in names]
            reply = self._server.run_script("look_at_heads", keys, [MOST_HEAD_BYTES])
            found += [
                Head(name, reply[place], reply[place + 1], decoded(reply[place + 2]))
                for place, name in zip(range(0, len(reply), 3), names, strict=True)
                if reply[place]
            ]
        return found

    def known_heads(self) -> dict[str, tuple[str, float]]:
        """Queue -> digits of its next job, and since when that is the next one (epoch seconds)."""
        raws = self._server.read({}, "HGETALL", self.keys.heads)
        found = {}
        for name, raw in raws.items():
            digits, _, since = decoded(raw).partition(" ")
            found[decoded(name)] = digits, as_number(since.encode()) / 1000
        return found

    def write_heads(
        self, heads: Mapping[str, tuple[str, float]], known: Mapping[str, tuple[str, float]]
    ) -> None:
        """In place of those that are known."""
        key = encoded(self.keys.heads)
        gone = [encoded(name) for name in known if name not in heads]
        changed: Any = {
            encoded(name): f"{digits} {int(since * 1000)}"
            for name, (digits, since) in heads.items()
            if known.get(name, ("", 0.0))[0] != digits
        }
        pipeline = self._server.redis.pipeline(transaction=False)
        if gone:
            pipeline.hdel(key, *gone)
        if changed:
            pipeline.hset(key, mapping=changed)
        pipeline.expire(key, HEADS_KEPT)
        self._server.ask(
            None, self.keys.heads, pipeline.execute, "ages of jobs are counted from now on"
        )

    def write_depths(self, now: float, depths: Mapping[str, str]) -> None:
        """In place of those of this minute."""
        name = self.keys.metrics("depth", int(now) // 60)
        key = encoded(name)
        entries: Any = {encoded(queue): text for queue, text in depths.items()}
        pipeline = self._server.redis.pipeline(transaction=True)
        pipeline.delete(key)
        pipeline.hset(key, mapping={b"": int(now * 1000), **entries})
        pipeline.expire(key, MINUTE_KEPT)
        self._server.ask(None, name, pipeline.execute, "the depths of queues are not noted")

    def marks(self, since_ms: int, most: int) -> list[tuple[bytes, dict[bytes, bytes]]]:
        """Entries of the stream of marks from this time on, the newest first."""
        found: list[Any] = self._server.read(
            [], "XREVRANGE", self.keys.marks, "+", since_ms, "COUNT", most
        )
        return [(name, _pairs(fields)) for name, fields in found]

    def add(self, caller: str, number: int, counted: Counted) -> None:
        """Add these counts, once: called again with the number it does nothing."""
        sums = hashes_of(self.keys, counted)
        keys = [self.keys.metrics_flush(caller), *(each.key for each in sums)]
        arguments: list[Any] = [number]
        for _, kept, most, fields in sums:
            arguments += (kept, counts_of(fields), most)
        refused = self._server.run_script("add_sums", keys, arguments)
        found = [(refused[i + 2], refused[i + 3]) for i in range(0, len(refused), 4)]
        name_refused(
            self.keys, [(decoded(key), decoded(error)) for key, error in found], "it is not counted"
        )

    def log(self, job_id: str) -> bytes | None:
        """What this job has logged, compressed (see `worker.threads.job_lines`)."""
        found: bytes | None = self._server.read(None, "GET", self.keys.log(job_id))
        return found

    def trim_logs(self, most: int) -> None:
        """Keep what the last jobs have logged."""
        logs = self.keys.logs
        excess = int(self._server.read(0, "ZCARD", logs)) - most
        while excess > 0:
            popped = self._server.call("ZPOPMIN", logs, min(excess, AT_ONCE))
            ids = [each[0] if isinstance(each, list | tuple) else each for each in popped]
            if not ids:
                return
            # Where the protocol gives a flat list, the scores name no key.
            self._server.call("DEL", *(self.keys.log(decoded(name)) for name in ids))
            excess -= AT_ONCE

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
    return {_one_of(name): as_number(value) for name, value in found.items()}


@lru_cache(maxsize=20_000)
def _one_of(name: bytes) -> bytes:
    """One object for all that are equal: a reader keeps hundreds of hashes."""
    return name


def as_number(value: bytes | None) -> int:
    try:
        return int(value or 0)
    except ValueError:
        return 0


@lru_cache(maxsize=20_000)
def parts_of(raw: bytes) -> tuple[str, ...]:
    """The parts of a field. The hashes of hundreds of minutes have the same ones."""
    name = decoded(raw)
    parts = name.split("|")
    return tuple(unquote(p, errors="surrogateescape") for p in parts) if "%" in name else (*parts,)
