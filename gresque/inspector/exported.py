"""The numbers of the whole system that a monitoring program asks for."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from gresque.inspector.look import Look, ProcessLook
from gresque.inspector.names import worker_name
from gresque.jobs.waiting import waits_since
from gresque.store.reads import Reply
from gresque.store.store import Store

QUEUES = 500
"""Queues that are named; the others count together."""
OTHER = "other"
"""The name under which they do."""


@dataclass(frozen=True)
class QueueNumbers:
    """`latency_seconds` is for how long the next job has waited, 0 where none waits; None where its
    payload has no time. `running` are the jobs that processes hold, `limit` the most that may."""

    queue: str
    length: int
    latency_seconds: float | None
    running: int
    is_paused: bool
    limit: int | None


@dataclass(frozen=True)
class Exported:
    """`processed` counts every job that ended, the failed ones included. `lateness_seconds` is for
    how long the first delayed job is overdue. `threads` are those of all living processes."""

    at: float
    trip_seconds: float
    processed: int
    failed: int
    retried: int
    queues: tuple[QueueNumbers, ...]
    delayed: int
    failed_jobs: int
    processes: tuple[ProcessLook, ...]
    threads: int
    workers: int
    lateness_seconds: float
    has_maintenance: bool

    @classmethod
    def read(cls, store: Store, failure_backend: str) -> Exported:
        """In six round trips. No payload but that of the next job of each queue is read."""
        started = time.perf_counter()
        store.redis.ping()
        trip = time.perf_counter() - started
        look, keys = Look.take(store, failure_backend), store.keys
        reads = store.reads()
        heads = {
            name: reads.ask(b"", "LINDEX", keys.queue(name), 0) for name in look.counts.waiting
        }
        retried = reads.number("GET", keys.retried)
        due: Reply[list[bytes]] = reads.ask([], "ZRANGE", keys.later, 0, 0, "WITHSCORES")
        holder = reads.ask(b"", "GET", keys.maintenance)
        reads.run()
        living = tuple(each for each in look.processes if each.seems_to_live)
        held = Counter[str]()
        for each in store.processes.held_by_queue([process.id for process in look.processes]):
            held.update(each)
        ages = {name: _age(head.value, look.at) for name, head in heads.items()}
        return cls(
            at=look.at,
            trip_seconds=trip,
            processed=look.counts.processed,
            failed=look.counts.failed,
            retried=retried.value,
            queues=_queues(look, ages, held),
            delayed=look.later,
            failed_jobs=look.kept_failed,
            processes=living,
            threads=sum(map(_threads, living)),
            workers=len(look.workers),
            lateness_seconds=max(look.at - float(due.value[1]) / 1000, 0.0) if due.value else 0.0,
            has_maintenance=bool(holder.value),
        )


def _age(head: bytes, now: float) -> float | None:
    if not head:
        return 0.0
    since = waits_since(head)
    return None if since is None else max(now - since, 0.0)


def _threads(process: ProcessLook) -> int:
    name = worker_name(process.id.rsplit(":", 2)[0])
    return name.thread_count if name is not None else 0


def _queues(
    look: Look, ages: dict[str, float | None], held: Counter[str]
) -> tuple[QueueNumbers, ...]:
    names = sorted({*look.counts.waiting, *held, *look.flow.policies})
    found = [
        QueueNumbers(
            queue=name,
            length=look.counts.waiting.get(name, 0),
            latency_seconds=ages.get(name, 0.0),
            running=held[name],
            is_paused=look.flow.all_paused or look.flow.policy(name).paused,
            limit=look.flow.policy(name).cap,
        )
        for name in names
    ]
    named, rest = found[: QUEUES - 1], found[QUEUES - 1 :]
    if len(rest) < 2:
        return tuple(found)
    latencies = [each.latency_seconds for each in rest if each.latency_seconds is not None]
    return (
        *named,
        QueueNumbers(
            queue=OTHER,
            length=sum(each.length for each in rest),
            latency_seconds=max(latencies, default=None),
            running=sum(each.running for each in rest),
            is_paused=all(each.is_paused for each in rest),
            limit=None,
        ),
    )
