"""What fills Redis: its keys by what they are for, with their memory, estimated from a sample."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from gresque.store.key_kinds import kind_of
from gresque.store.refusals import is_missing_right
from gresque.store.store import Store
from gresque.text import decoded, encoded

SAMPLED = 1000
"""Keys that are drawn, where there are more of them."""
_QUEUES = 500
"""Lists of waiting jobs that are measured one by one."""


@dataclass(frozen=True)
class KeyKind:
    """The keys of one kind. `count` and `memory_bytes` are estimates where the survey is a
    sample. `largest` is the largest of its keys that was measured."""

    kind: str
    count: int
    memory_bytes: int
    largest: str
    largest_bytes: int


@dataclass(frozen=True)
class KeySurvey:
    """The kinds, the one that takes most memory first. `keys` is the number of all keys of the
    database, `measured` that of those whose memory was read. `refused` says why there is none."""

    keys: int
    measured: int
    is_sample: bool
    kinds: tuple[KeyKind, ...]
    refused: str | None = None

    @classmethod
    def take(cls, store: Store) -> KeySurvey:
        """Three round trips for up to 1,000 keys, four for more. Lists of jobs are few and may be
        huge, so they are measured one by one; the rest is drawn at random."""
        try:
            return _take(store)
        except redis.RedisError as error:
            if not is_missing_right(error):
                raise
            return cls(0, 0, False, (), f"this user of Redis has no right to it: {error}")


def _take(store: Store) -> KeySurvey:
    large = _large_keys(store)
    pipeline = store.redis.pipeline(transaction=False)
    pipeline.execute_command("DBSIZE")
    pipeline.execute_command("SCAN", 0, "COUNT", SAMPLED)
    size, (cursor, found) = pipeline.execute()
    is_sample = int(cursor) != 0
    if is_sample:
        for _ in range(SAMPLED):
            pipeline.execute_command("RANDOMKEY")
        found = [each for each in pipeline.execute() if each is not None]
    drawn = [*map(decoded, found)]
    if not is_sample:
        drawn = [*dict.fromkeys(drawn)]
    apart = set(large)
    rest = [each for each in drawn if each not in apart]
    exact = _measure(store, large)
    sampled = _measure(store, rest)
    share = len(rest) / len(drawn) if drawn else 0.0
    # Of a sample each key stands for this number of keys; else for itself.
    weight = (int(size) - len(exact)) / len(rest) if is_sample and share else 1.0
    measured = {each for each, _ in (*exact, *sampled)}
    return KeySurvey(int(size), len(measured), is_sample, _kinds(store, exact, sampled, weight))


def _large_keys(store: Store) -> list[str]:
    keys, reads = store.keys, store.reads()
    queues = reads.names("SMEMBERS", keys.queues)
    failed = reads.names("SMEMBERS", keys.failed_queues)
    ledgers = reads.names("ZRANGE", keys.ledgers, 0, _QUEUES - 1)
    reads.run()
    found = [keys.failed, keys.later, keys.later_jobs]
    found += map(keys.queue, queues.value[:_QUEUES])
    found += map(keys.failed_list, failed.value[:_QUEUES])
    found += map(keys.ledger, ledgers.value)
    return found


def _measure(store: Store, names: Sequence[str]) -> list[tuple[str, int]]:
    """Those that are there, with their bytes."""
    pipeline = store.redis.pipeline(transaction=False)
    for name in names:
        pipeline.execute_command("MEMORY USAGE", encoded(name))
    sizes: Iterable[Any] = pipeline.execute() if names else ()
    return [(name, int(size)) for name, size in zip(names, sizes, strict=True) if size is not None]


def _kinds(
    store: Store,
    exact: Sequence[tuple[str, int]],
    sampled: Sequence[tuple[str, int]],
    weight: float,
) -> tuple[KeyKind, ...]:
    counts, sizes = Counter[str](), Counter[str]()
    largest: defaultdict[str, tuple[int, str]] = defaultdict(lambda: (0, ""))
    for found, times in ((exact, 1.0), (sampled, weight)):
        weighed, bytes_of = Counter[str](), Counter[str]()
        for name, size in found:
            kind = kind_of(store.keys, name)
            weighed[kind] += 1
            bytes_of[kind] += size
            largest[kind] = max(largest[kind], (size, name))
        for kind in weighed:
            counts[kind] += round(weighed[kind] * times)
            sizes[kind] += round(bytes_of[kind] * times)
    return tuple(
        KeyKind(kind, counts[kind], sizes[kind], largest[kind][1], largest[kind][0])
        for kind, _ in sizes.most_common()
    )
