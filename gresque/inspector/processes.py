"""What can be seen of the workers in Redis: who they are, how they are, what they run."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from gresque.clock import parse_iso_8601
from gresque.jobs import payload
from gresque.processes.identity import WorkerName, split_process_id
from gresque.store.commands import Running
from gresque.store.ledger import LedgerEntry
from gresque.store.store import Store


@dataclass(frozen=True)
class ProcessStatus:
    """A worker process: how long ago it gave a sign of life, and how many jobs it holds."""

    id: str
    pid: int | None
    beat_age_seconds: float
    held: int


@dataclass(frozen=True)
class WorkerStatus:
    """One worker as it stands in Redis, of whichever Resque.

    `name` is None for an id of another format, such as stock Resque's. A worker that is not
    `registered` has left, or died, before its processes gave back what they hold.
    """

    id: str
    name: WorkerName | None
    registered: bool
    started: str
    heartbeat: str
    heartbeat_age_seconds: float | None
    processes: tuple[ProcessStatus, ...]
    processed: int
    failed: int

    @property
    def held(self) -> int:
        """The jobs that its processes hold: those that run, and a few that are about to."""
        return sum(process.held for process in self.processes)

    @classmethod
    def all(cls, store: Store) -> list[WorkerStatus]:
        """Every worker, in seven round trips however many there are."""
        now = store.now()
        registered = set(store.workers.ids())
        processes = _processes_by_worker(store, now)
        ids = sorted(registered | set(processes))
        started, heartbeats = store.workers.started(ids), store.workers.heartbeats()
        counters = _counters(store, ids)
        return [
            cls(
                id=worker,
                name=_parse_name(worker),
                registered=worker in registered,
                started=started[worker],
                heartbeat=heartbeats.get(worker, ""),
                heartbeat_age_seconds=_age_seconds(heartbeats.get(worker, ""), now),
                processes=tuple(processes.get(worker, ())),
                processed=processed,
                failed=failed,
            )
            for worker, (processed, failed) in zip(ids, counters, strict=True)
        ]


def _processes_by_worker(store: Store, now: float) -> dict[str, list[ProcessStatus]]:
    beats = store.processes.beats()
    found: dict[str, list[ProcessStatus]] = defaultdict(list)
    for (process, beat), held in zip(
        beats.items(), store.processes.held_counts(list(beats)), strict=True
    ):
        worker, pid = _split(process)
        found[worker].append(ProcessStatus(process, pid, max(now - beat, 0.0), held))
    return found


def _counters(store: Store, worker_ids: list[str]) -> list[tuple[int, int]]:
    if not worker_ids:
        return []
    keys = [
        store.keys.worker_stat(name, worker)
        for worker in worker_ids
        for name in ("processed", "failed")
    ]
    values = store.stats.values(keys)
    return list(zip(values[::2], values[1::2], strict=True))


def _parse_name(worker_id: str) -> WorkerName | None:
    try:
        return WorkerName.parse(worker_id)
    except ValueError:
        return None


def _split(process_id: str) -> tuple[str, int | None]:
    try:
        return split_process_id(process_id)
    except ValueError:
        return process_id, None


def _age_seconds(heartbeat: str, now: float) -> float | None:
    beat = parse_iso_8601(heartbeat)
    return None if beat is None else max(now - beat, 0.0)


@dataclass(frozen=True)
class RunningJob:
    """A job in a slot of a worker process: it runs, or is about to.

    `since` is known only for a job that has been running for over a second. `item` is its payload,
    `{"raw": text}` when that is no JSON object. `blocks_seconds` is for how long it has kept the
    other jobs of its process from running, where it does, and `stack` where it stands then.
    """

    worker: str
    process: str
    slot: str
    queue: str
    item: dict[str, Any]
    since: float | None
    seconds: float | None
    blocks_seconds: float | None = None
    stack: tuple[str, ...] = ()

    @classmethod
    def all(cls, store: Store) -> list[RunningJob]:
        """Every job in flight, the one that runs longest first."""
        now = store.now()
        jobs = [job for process in store.processes.ids() for job in _running(store, process, now)]
        return sorted(jobs, key=_longest_first)


def _longest_first(job: RunningJob) -> tuple[float, str, int, str]:
    return -(job.seconds or 0.0), job.process, len(job.slot), job.slot


def _running(store: Store, process_id: str, now: float) -> Iterator[RunningJob]:
    worker, _ = _split(process_id)
    running = _published(store, process_id)
    held = store.processes.ledger(process_id)
    unreadable = {slot: LedgerEntry(b"", each.raw) for slot, each in held.unreadable.items()}
    for slot_name, entry in {**held.entries, **unreadable}.items():
        slot = slot_name.decode("utf-8", "surrogateescape")
        start = running.since.get(slot)
        blocking = running.blocking
        blocks = blocking is not None and blocking.slot == slot
        yield RunningJob(
            worker=worker,
            process=process_id,
            slot=slot,
            queue=_queue(store, entry),
            item=payload.loads(entry.raw),
            since=start,
            seconds=None if start is None else max(now - start, 0.0),
            blocks_seconds=max(now - blocking.since, 0.0) if blocking and blocks else None,
            stack=tuple(blocking.stack) if blocking and blocks else (),
        )


def _published(store: Store, process_id: str) -> Running:
    try:
        return store.processes.running(process_id)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return Running()


def _queue(store: Store, entry: LedgerEntry) -> str:
    key = entry.queue_key.decode("utf-8", "surrogateescape")
    return key.removeprefix(store.keys.queue_prefix)


@dataclass(frozen=True)
class LedgerStatus:
    """The ledger of one worker process: what it holds, and what became of what it has held.

    `queues` tells how many of the held jobs came from where, `longest_seconds` how long the oldest
    of them has been running, where one has for over a second. A `fenced` process was declared dead.
    """

    process: str
    host: str
    master_pid: int | None
    pid: int | None
    started: float | None
    age_seconds: float | None
    beat_age_seconds: float
    fenced: bool
    held: int
    longest_seconds: float | None
    queues: dict[str, int]
    reserved: int
    done: int
    failed: int
    requeued: int

    @classmethod
    def all(cls, store: Store) -> list[LedgerStatus]:
        """Every process, by host and age."""
        now = store.now()
        beats = store.processes.beats()
        found = [cls._read(store, process, beat, now) for process, beat in beats.items()]
        return sorted(found, key=lambda each: (each.host, each.started or 0.0, each.process))

    @classmethod
    def _read(cls, store: Store, process: str, beat: float, now: float) -> LedgerStatus:
        worker, pid = _split(process)
        name, born = _parse_name(worker), _born(process)
        ledger = store.processes.ledger(process)
        queues = Counter(_queue(store, entry) for entry in ledger.entries.values())
        longest = min(_published(store, process).since.values(), default=None)
        return cls(
            process=process,
            host=name.hostname if name else worker,
            master_pid=name.master_pid if name else None,
            pid=pid,
            started=born,
            age_seconds=None if born is None else max(now - born, 0.0),
            beat_age_seconds=max(now - beat, 0.0),
            fenced=ledger.is_fenced,
            held=ledger.held,
            longest_seconds=None if longest is None else max(now - longest, 0.0),
            queues=dict(queues.most_common()),
            **ledger.totals._asdict(),
        )


def _born(process_id: str) -> float | None:
    try:
        return int(process_id.rsplit(":", 1)[1]) / 1000
    except (IndexError, ValueError, OverflowError):
        return None


@dataclass(frozen=True)
class LoggedRecovery:
    """A recovery as the log tells it: when, of which process, why it was dead, by whom
    (`host:pid`), and what became of the jobs that it held. The poison ones have failed, too."""

    at: str
    process: str
    cause: str
    by: str
    requeued: int
    failed: int
    poison: int

    @classmethod
    def newest(cls, store: Store, count: int) -> list[LoggedRecovery]:
        """The last recoveries, the newest first; what cannot be read is passed over."""
        return [
            entry for raw in store.recovery.log(count) if (entry := _recovered(raw)) is not None
        ]


def _recovered(raw: bytes) -> LoggedRecovery | None:
    try:
        return msgspec.json.decode(raw, type=LoggedRecovery)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
