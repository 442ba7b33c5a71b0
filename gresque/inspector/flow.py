"""The policies of queues and the caps of single workers, with their current state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gresque.client.flow import QueueLimits, limits_of
from gresque.errors import SettingsError
from gresque.inspector.names import worker_name
from gresque.inspector.processes import parse_vitals_or_none
from gresque.inspector.queues import serves
from gresque.inspector.workers import is_silent
from gresque.processes.identity import worker_of
from gresque.queue_list import QueueList
from gresque.store.policies import Policy, PolicyReads, PolicySnapshot
from gresque.store.store import Store
from gresque.text import decoded


@dataclass(frozen=True)
class WorkerCap:
    """The cap of one worker for a queue, from its queue list, and how many jobs of the queue it
    holds."""

    worker: str
    queue: str
    cap: int
    in_flight: int


@dataclass(frozen=True)
class Flow:
    """Everything that is paused or limited. `waiting` has the number of waiting jobs of each queue
    in `queues`."""

    all_paused: bool
    queues: tuple[QueueLimits, ...]
    waiting: Mapping[str, int]
    workers: tuple[WorkerCap, ...]

    @classmethod
    def read(cls, store: Store) -> Flow:
        """In two round trips, or three where workers have caps."""
        keys, reads = store.keys, store.reads()
        asked = PolicyReads(store.server, reads)
        vitals = reads.ask(_NONE, "HGETALL", keys.vitals)
        names = reads.names("SMEMBERS", keys.queues)
        reads.run()
        limits = limits_of(asked.snapshot())
        lists = _lists_of_workers(vitals.value)
        sizes = {
            each.queue: [reads.number("LLEN", place) for place in keys.places(each.queue)]
            for each in limits
        }
        held = {worker: reads.ask(_NONE, "HGETALL", keys.inflight_of(worker)) for worker in lists}
        reads.run()
        found = asked.snapshot()
        return cls(
            all_paused=found.all_paused,
            queues=tuple(limits),
            waiting={name: sum(size.value for size in each) for name, each in sizes.items()},
            workers=tuple(
                cap
                for worker, queues in sorted(lists.items())
                for cap in _caps(worker, queues, sorted(names.value), held[worker].value)
            ),
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "all_paused": self.all_paused,
            "queues": [
                {**asdict(each), "waiting": self.waiting[each.queue]} for each in self.queues
            ],
            "workers": [asdict(each) for each in self.workers],
        }


_NONE: dict[bytes, bytes] = {}


def _lists_of_workers(vitals: Mapping[bytes, bytes]) -> dict[str, QueueList]:
    """The queue lists of the workers that have caps. They come from the vitals of the processes, as
    the ids of workers leave the caps out."""
    found = {}
    for process, raw in vitals.items():
        worker, read = worker_of(decoded(process)), parse_vitals_or_none(raw)
        if read is None or worker in found or ":" not in read.queues:
            continue
        try:
            queues = QueueList.parse(read.queues)
        except SettingsError:
            continue
        if queues.caps:
            found[worker] = queues
    return found


def _caps(
    worker: str, queues: QueueList, existing: list[str], held: Mapping[bytes, bytes]
) -> Iterator[WorkerCap]:
    name = worker_name(worker)
    if name is None:
        return
    counts = {decoded(queue): int(count) for queue, count in held.items() if count.isdigit()}
    for queue in queues.resolve(existing):
        cap = queues.cap_of(queue, name.worker_count * name.thread_count)
        if cap is not None:
            yield WorkerCap(worker, queue, cap, counts.get(queue, 0))


def held_jobs(store: Store, queue: str) -> int:
    """How many jobs of a queue are in flight, whether they are counted or not."""
    held = store.processes.held_by_queue(store.processes.ids())
    return sum(each.get(queue, 0) for each in held)


@dataclass(frozen=True)
class Served:
    """A queue, how many jobs wait in it, and whether a worker serves it."""

    queue: str
    waiting: int
    is_served: bool
    is_known: bool
    """A job was pushed to it before."""

    @classmethod
    def merge(cls, found: Iterable[Served]) -> Served:
        """One queue on all shards."""
        each = [*found]
        return cls(
            each[0].queue,
            sum(served.waiting for served in each),
            any(served.is_served for served in each),
            any(served.is_known for served in each),
        )


@dataclass(frozen=True)
class Serving:
    """Some queues, and the policies of all."""

    queues: tuple[Served, ...]
    policies: PolicySnapshot
    has_workers: bool

    @classmethod
    def read(cls, store: Store, queues: Iterable[str]) -> Serving:
        """In one round trip."""
        keys, reads = store.keys, store.reads()
        asked = PolicyReads(store.server, reads)
        clock = reads.now()
        workers = reads.names("SMEMBERS", keys.workers)
        heartbeats = reads.texts_of("HGETALL", keys.heartbeats)
        known = reads.names("SMEMBERS", keys.queues)
        sizes = {
            name: [reads.number("LLEN", place) for place in keys.places(name)] for name in queues
        }
        reads.run()
        living = [
            each
            for each in workers.value
            if not is_silent(heartbeats.value.get(each, ""), clock.value)
        ]
        found = (
            Served(
                name,
                sum(size.value for size in each),
                any(serves(worker, name) for worker in living),
                name in known.value,
            )
            for name, each in sizes.items()
        )
        return cls(tuple(found), asked.snapshot(), bool(living))

    @classmethod
    def merge(cls, found: Mapping[str, Serving]) -> Serving:
        """The queues on all shards."""
        each = [*found.values()]
        return cls(
            tuple(map(Served.merge, zip(*(serving.queues for serving in each), strict=True))),
            merge_policies([serving.policies for serving in each]),
            any(serving.has_workers for serving in each),
        )


def merge_policies(found: Sequence[PolicySnapshot]) -> PolicySnapshot:
    """The policies of all shards: what is paused on one of them is paused. A limit is that of one
    shard, as each shard has its own; the jobs in flight are added up."""
    policies: dict[str, Policy] = {}
    in_flight = Counter[str]()
    for each in found:
        in_flight.update(each.in_flight)
        for name, policy in each.policies.items():
            if policy.paused or name not in policies:
                policies[name] = policy
    return found[0]._replace(
        all_paused=any(each.all_paused for each in found),
        policies=policies,
        in_flight=in_flight,
        in_the_way=tuple(dict.fromkeys(key for each in found for key in each.in_the_way)),
    )
