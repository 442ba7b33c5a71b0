"""Queues: how much waits in each, and what."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gresque.errors import SettingsError
from gresque.inspector.workers import is_silent
from gresque.jobs import payload
from gresque.jobs.waiting import waits_since
from gresque.queue_list import QueueList
from gresque.store.policies import PolicyReads
from gresque.store.store import Store

LOOKED_AT = 1000


@dataclass(frozen=True)
class QueueStatus:
    """A queue, the number of jobs that wait in it, including those under which a process died, and
    its policy for people, None where it has none."""

    name: str
    size: int
    policy: str | None = None

    @classmethod
    def all(cls, store: Store) -> list[QueueStatus]:
        """Every queue, by name, in three round trips; also one that is paused or limited before its
        first job."""
        flow = store.policies.read()
        sizes = store.queues.sizes()
        ruled = [name for name, each in flow.policies.items() if each.paused or each.is_limited]
        return [
            cls(name, sizes.get(name, 0), flow.describe(name) or None)
            for name in sorted({*sizes, *ruled})
        ]

    @classmethod
    def of(cls, store: Store, name: str) -> QueueStatus:
        return cls(name, store.queues.size(name))

    @classmethod
    def merge(cls, found: Mapping[str, list[QueueStatus]]) -> list[QueueStatus]:
        """The queues of all shards, by name: what waits in each of them together."""
        by_name = defaultdict[str, dict[str, QueueStatus]](dict)
        for shard, queues in found.items():
            for queue in queues:
                by_name[queue.name][shard] = queue
        return [
            cls(
                name,
                sum(queue.size for queue in each.values()),
                _policy_of_all({shard: queue.policy for shard, queue in each.items()}),
            )
            for name, each in sorted(by_name.items())
        ]


@dataclass(frozen=True)
class QueueDetails:
    """One queue: how much waits in it, for how long, of which classes, and who serves it.

    `suspects` of the waiting jobs saw the death of a process. The next job waits for `age_seconds`,
    None where its payload has no time. `classes` are those of the next LOOKED_AT jobs, the most
    frequent first. `workers` are the ids of the registered ones whose queue list has it, but for
    those that are silent. `policy` is its policy, for people, None where it has none.
    """

    name: str
    size: int
    policy: str | None
    suspects: int
    age_seconds: float | None
    classes: dict[str, int]
    workers: tuple[str, ...]

    @classmethod
    def read(cls, store: Store, name: str) -> QueueDetails:
        keys, reads = store.keys, store.reads()
        clock = reads.now()
        sizes = [reads.number("LLEN", place) for place in keys.places(name)]
        workers = reads.names("SMEMBERS", keys.workers)
        heartbeats = reads.texts_of("HGETALL", keys.heartbeats)
        policies = PolicyReads(store.server, reads)
        reads.run()
        raws = store.queues.peek(name, 0, LOOKED_AT)
        since = waits_since(raws[0]) if raws else None
        classes = Counter(payload.class_of(raw) or "no job" for raw in raws)
        return cls(
            name,
            size=sum(size.value for size in sizes),
            policy=policies.snapshot().describe(name) or None,
            suspects=sum(size.value for size in sizes[:-1]),
            age_seconds=None if since is None else max(clock.value - since, 0.0),
            classes=dict(classes.most_common()),
            workers=tuple(
                sorted(
                    each
                    for each in workers.value
                    if not is_silent(heartbeats.value.get(each, ""), clock.value)
                    and serves(each, name)
                )
            ),
        )

    @classmethod
    def merge(cls, found: Mapping[str, QueueDetails]) -> QueueDetails:
        """The queue on all shards: the age is that of the next job which waits longest."""
        each = [*found.values()]
        classes = sum((Counter(queue.classes) for queue in each), Counter[str]())
        ages = [queue.age_seconds for queue in each if queue.age_seconds is not None]
        return cls(
            each[0].name,
            size=sum(queue.size for queue in each),
            policy=_policy_of_all({shard: queue.policy for shard, queue in found.items()}),
            suspects=sum(queue.suspects for queue in each),
            age_seconds=max(ages, default=None),
            classes=dict(classes.most_common()),
            workers=tuple(sorted({worker for queue in each for worker in queue.workers})),
        )


def _policy_of_all(policies: Mapping[str, str | None]) -> str | None:
    """One text where the shards agree; else that of each shard, which limits its own jobs alone."""
    if len(set(policies.values())) == 1:
        return next(iter(policies.values()))
    return "; ".join(f"{shard}: {policy}" for shard, policy in policies.items() if policy)


@dataclass(frozen=True)
class WaitingJob:
    """A job that waits, at its position in the queue, the next one at 0; its item as
    `payload.loads` reads it."""

    position: int
    item: dict[str, Any]
    age_seconds: float | None

    @classmethod
    def some(cls, store: Store, queue: str, start: int, count: int) -> list[WaitingJob]:
        now = store.now()
        raws = store.queues.peek(queue, start, count)
        ages = (None if (since := waits_since(raw)) is None else max(now - since, 0.0)
                for raw in raws)  # fmt: skip
        return [
            cls(start + number, payload.loads(raw), age)
            for number, (raw, age) in enumerate(zip(raws, ages, strict=True))
        ]

    @property
    def order(self) -> float:
        """By which jobs of several shards are merged: the one that waits longest first. One that
        says nothing of its age goes along with those before it."""
        return -math.inf if self.age_seconds is None else -self.age_seconds


def serves(worker_id: str, queue: str) -> bool:
    """By the id of a worker of any Resque, `host:pid:queues…`, in which a colon is `~`."""
    parts = worker_id.split(":")
    try:
        listed = QueueList.parse_id(parts[2] if len(parts) > 2 else "")
    except SettingsError:
        return False
    name = queue.replace(":", "~")
    return name in listed.resolve([name])
