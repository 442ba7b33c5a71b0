"""What stands in Redis at one moment, as far as names and numbers say it. No payload is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gresque.inspector.other_workers import OtherWorker
from gresque.inspector.processes import parse_totals, parse_vitals_or_none
from gresque.inspector.running import parse_running
from gresque.inspector.workers import heartbeat_age
from gresque.processes.identity import worker_of
from gresque.processes.vitals import Vitals
from gresque.settings import one_list_each
from gresque.store.commands import Running
from gresque.store.keys import Keys
from gresque.store.ledger import STATE, Totals
from gresque.store.policies import PolicyReads, PolicySnapshot
from gresque.store.reads import Reads
from gresque.store.store import Store

NEW_SECONDS = 5.0
"""A process has vitals by then."""


@dataclass(frozen=True)
class Counts:
    """The numbers whose change from one look to the next is of interest. `waiting` is how many jobs
    wait in each queue, suspects included."""

    at: float
    waiting: Mapping[str, int]
    processed: int
    failed: int

    @classmethod
    def take(cls, store: Store) -> Counts:
        """In two round trips."""
        reads = store.reads()
        counting = _Counting(store, reads)
        reads.run()
        counting.ask_sizes()
        reads.run()
        return counting.counts()


class _Counting:
    """The reads of counts, in two steps, which others share."""

    def __init__(self, store: Store, reads: Reads) -> None:
        self._keys, self._reads = store.keys, reads
        self._clock = reads.now()
        self._queues = reads.names("SMEMBERS", self._keys.queues)
        self._with_suspects = reads.names("SMEMBERS", self._keys.suspects)
        self._counters = reads.numbers([self._keys.processed, self._keys.failures])

    def ask_sizes(self) -> None:
        number, keys = self._reads.number, self._keys
        self._sizes = {name: number("LLEN", keys.queue(name)) for name in self._queues.value}
        self._apart = SuspectReads(self._reads, keys, self._with_suspects.value)

    def suspects(self) -> dict[str, tuple[int, int]]:
        return self._apart.counts()

    def counts(self) -> Counts:
        waiting = {name: size.value for name, size in self._sizes.items()}
        return Counts(self._clock.value, self._apart.added_to(waiting), *self._counters.value)


class SuspectReads:
    """The reads of the suspects of these queues."""

    def __init__(self, reads: Reads, keys: Keys, queues: Iterable[str]) -> None:
        self._sizes = {
            name: [reads.number("LLEN", keys.suspects_of(name, deaths)) for deaths in (1, 2)]
            for name in queues
        }

    def counts(self) -> dict[str, tuple[int, int]]:
        """By queue, of those that have any: how many saw one death, and how many more."""
        found = {name: (one.value, more.value) for name, (one, more) in self._sizes.items()}
        return {name: counts for name, counts in found.items() if any(counts)}

    def added_to(self, waiting: Mapping[str, int]) -> dict[str, int]:
        """What waits in each queue, with its suspects."""
        found = dict(waiting)
        for name, counts in self.counts().items():
            found[name] = found.get(name, 0) + sum(counts)
        return found


@dataclass(frozen=True)
class ProcessLook:
    """A worker process, by what it and its maintenance process publish. `held` are the jobs that it
    has reserved and not ended, the running ones included."""

    id: str
    beat_age: float
    held: int
    is_fenced: bool
    totals: Totals
    running: Running
    vitals: Vitals | None

    @property
    def state(self) -> str:
        """The name of its state in small letters; empty where that is not known."""
        return self.vitals.state if self.vitals is not None else ""

    @property
    def seems_to_live(self) -> bool:
        """Of a process that died its master removes the vitals at once; a new one has none yet."""
        return self.vitals is not None or self.beat_age < NEW_SECONDS


class ProcessReads:
    """The reads of these processes."""

    def __init__(self, store: Store, reads: Reads, ids: Sequence[str]) -> None:
        keys, self._ids = store.keys, ids
        self._held = [reads.number("HLEN", keys.ledger(each)) for each in ids]
        self._states = [reads.ask(b"", "HGET", keys.ledger(each), STATE) for each in ids]
        self._running = reads.texts([keys.running(each) for each in ids])
        self._waits = reads.texts([keys.waits(each) for each in ids])
        self._vitals = reads.hash_values(keys.vitals, ids)

    def looks(self, at: float, beats: Mapping[str, float]) -> tuple[ProcessLook, ...]:
        """`at` is now, in epoch seconds, `beats` the scores of the processes in milliseconds."""
        return tuple(
            ProcessLook(
                id=each,
                beat_age=max(at - beats[each] / 1000, 0.0),
                # One field of a ledger is its state.
                held=max(held.value - 1, 0),
                is_fenced=state.value.startswith(b"fenced"),
                totals=parse_totals(state.value),
                running=parse_running(running, waits),
                vitals=parse_vitals_or_none(vitals),
            )
            for each, held, state, running, waits, vitals in zip(
                self._ids, self._held, self._states, self._running.value, self._waits.value,
                self._vitals.value, strict=True,
            )
        )  # fmt: skip


@dataclass(frozen=True)
class Look:
    """The whole system. `suspects` is how many jobs saw one death, and how many more than one, by
    queue; `heartbeats` when each worker beat last. `server` holds the fields of
    INFO, none where this user may not ask for them."""

    counts: Counts
    suspects: Mapping[str, tuple[int, int]]
    processes: tuple[ProcessLook, ...]
    workers: frozenset[str]
    heartbeats: Mapping[str, str]
    masters: frozenset[str]
    """The workers that gresque registered."""
    kept_failed: int
    later: int
    """Jobs that wait for their time, but for those of other programs."""
    server: Mapping[str, Any]
    flow: PolicySnapshot

    @property
    def at(self) -> float:
        """Epoch seconds by the server's clock."""
        return self.counts.at

    @property
    def held(self) -> int:
        return sum(process.held for process in self.processes)

    @property
    def others(self) -> tuple[OtherWorker, ...]:
        """The workers of other programs, by id."""
        own = {worker_of(process.id) for process in self.processes} | self.masters
        return tuple(
            OtherWorker(each, heartbeat_age(self.heartbeats.get(each, ""), self.at))
            for each in sorted(self.workers - own)
        )

    @classmethod
    def take(cls, store: Store, failure_backend: str) -> Look:
        """In two round trips. `failure_backend` is the workers' setting: where failures stand."""
        keys, reads = store.keys, store.reads()
        counting = _Counting(store, reads)
        beats = reads.scores("ZRANGE", keys.ledgers)
        workers = reads.names("SMEMBERS", keys.workers)
        heartbeats = reads.texts_of("HGETALL", keys.heartbeats)
        masters = reads.texts_of("HGETALL", keys.masters)
        failed_queues = reads.names("SMEMBERS", keys.failed_queues)
        later = reads.number("ZCARD", keys.later)
        server = reads.info()
        policies = PolicyReads(store.server, reads)
        reads.run()
        counting.ask_sizes()
        ask_processes = ProcessReads(store, reads, [*beats.value])
        lists = [keys.failed]
        if one_list_each(failure_backend):
            lists = [keys.failed_list(name) for name in failed_queues.value]
        kept = [reads.number("LLEN", key) for key in lists]
        reads.run()
        counts = counting.counts()
        return cls(
            counts=counts,
            suspects=counting.suspects(),
            processes=ask_processes.looks(counts.at, beats.value),
            workers=frozenset(workers.value),
            heartbeats=heartbeats.value,
            masters=frozenset(masters.value),
            kept_failed=sum(count.value for count in kept),
            later=later.value,
            server=server.value,
            flow=policies.snapshot(),
        )
