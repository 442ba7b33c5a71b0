"""Workers: who they are, how they are, what they have done."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gresque.clock import parse_iso_8601
from gresque.inspector.names import worker_and_pid, worker_name
from gresque.inspector.other_workers import OtherReads
from gresque.processes.identity import WorkerName
from gresque.store.store import Store
from gresque.text import decoded

GONE_SECONDS = 60.0
"""A worker that has not beaten for this long serves nothing."""


@dataclass(frozen=True)
class WorkerProcess:
    """A process of a worker: how long ago it gave a sign of life, and how many jobs it holds."""

    id: str
    pid: int | None
    beat_age_seconds: float
    held: int


@dataclass(frozen=True)
class WorkerStatus:
    """One worker as it stands in Redis, of any Resque.

    `name` is None for an id of another format, such as stock Resque's. A worker that is not
    `registered` has left, or died, before its processes gave back what they hold. `own`: gresque
    registered it; others are never judged. `heartbeat` is as its program wrote it, in any zone.
    """

    id: str
    name: WorkerName | None
    registered: bool
    own: bool
    started: str
    heartbeat: str
    heartbeat_age_seconds: float | None
    processes: tuple[WorkerProcess, ...]
    processed: int
    failed: int
    retried: int
    runs: int
    """The jobs that a worker of another program says it runs."""

    @property
    def held(self) -> int:
        """The jobs that its processes hold: those that run, and a few that are about to."""
        return sum(process.held for process in self.processes) + self.runs

    @property
    def beats_as_ruby(self) -> bool:
        """Whether a Ruby program has registered it, as far as that shows."""
        return self.registered and not self.own and parse_iso_8601(self.heartbeat) is not None

    @classmethod
    def all(cls, store: Store) -> list[WorkerStatus]:
        """Every worker, by id, in two round trips."""
        keys, reads = store.keys, store.reads()
        clock = reads.now()
        registered = reads.names("SMEMBERS", keys.workers)
        heartbeats = reads.texts_of("HGETALL", keys.heartbeats)
        beats = reads.scores("ZRANGE", keys.ledgers)
        masters = reads.texts_of("HGETALL", keys.masters)
        reads.run()
        now, processes = clock.value, [*beats.value]
        ids = sorted({*registered.value, *(worker_and_pid(each)[0] for each in processes)})
        held = [reads.number("HLEN", keys.ledger(each)) for each in processes]
        started = reads.texts([keys.worker_started(each) for each in ids])
        processed = reads.numbers([keys.worker_stat("processed", each) for each in ids])
        failed = reads.numbers([keys.worker_stat("failed", each) for each in ids])
        retried = reads.numbers([keys.worker_stat("retried", each) for each in ids])
        own = masters.value.keys() | {worker_and_pid(each)[0] for each in processes}
        others = OtherReads(reads, keys, [each for each in ids if each not in own])
        reads.run()
        running, pings = others.running(), others.pings()
        by_worker: defaultdict[str, list[WorkerProcess]] = defaultdict(list)
        for process, count in zip(processes, held, strict=True):
            worker, pid = worker_and_pid(process)
            age = max(now - beats.value[process] / 1000, 0.0)
            # One field of a ledger is its state.
            by_worker[worker].append(WorkerProcess(process, pid, age, max(count.value - 1, 0)))
        return [
            cls(
                id=worker,
                name=worker_name(worker),
                registered=worker in registered.value,
                own=worker in own,
                started=decoded(started.value[position] or b""),
                heartbeat=heartbeats.value.get(worker, ""),
                heartbeat_age_seconds=_age(
                    parse_iso_8601(heartbeats.value.get(worker, "")) or pings.get(worker), now
                ),
                processes=tuple(by_worker[worker]),
                processed=processed.value[position],
                failed=failed.value[position],
                retried=retried.value[position],
                runs=running.get(worker, 0),
            )
            for position, worker in enumerate(ids)
        ]

    @classmethod
    def merge(cls, found: Mapping[str, Sequence[WorkerStatus]]) -> list[WorkerStatus]:
        """The workers of all shards, by id. One worker may serve several, by some of its processes
        each: it has begun when the first of these did, and has beaten when the last one did."""
        by_id = defaultdict[str, list[WorkerStatus]](list)
        for workers in found.values():
            for worker in workers:
                by_id[worker.id].append(worker)
        return [_joined(by_id[each]) for each in sorted(by_id)]


def _joined(found: Sequence[WorkerStatus]) -> WorkerStatus:
    latest = min(found, key=_silence)
    return replace(
        latest,
        registered=any(each.registered for each in found),
        started=min((each.started for each in found if each.started), default=""),
        processes=tuple(process for each in found for process in each.processes),
        processed=sum(each.processed for each in found),
        failed=sum(each.failed for each in found),
        retried=sum(each.retried for each in found),
        own=any(each.own for each in found),
        runs=sum(each.runs for each in found),
    )


def _silence(worker: WorkerStatus) -> float:
    age = worker.heartbeat_age_seconds
    return math.inf if age is None else age


def heartbeat_age(heartbeat: str, now: float) -> float | None:
    """Seconds since a worker's heartbeat; None where it gives none."""
    return _age(parse_iso_8601(heartbeat), now)


def _age(beat: float | None, now: float) -> float | None:
    return None if beat is None else max(now - beat, 0.0)


def is_silent(heartbeat: str, now: float) -> bool:
    """Whether a worker is gone by its heartbeat. Those of some programs give none."""
    age = heartbeat_age(heartbeat, now)
    return age is not None and age >= GONE_SECONDS
