"""Running jobs: the longest, those that block others, all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any

import msgspec

from gresque.inspector.names import worker_and_pid
from gresque.jobs import payload
from gresque.jobs.label import job_label
from gresque.store.commands import Running
from gresque.store.ledger import STATE, LedgerEntry, parse_entry
from gresque.store.store import Store
from gresque.text import decoded, encoded


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

    @property
    def label(self) -> str:
        """`myjobs.fetch("https://…", retries=3)`, cut after some 60 characters."""
        return job_label(self.item)

    @classmethod
    def all(cls, store: Store) -> list[RunningJob]:
        """Every job in flight: those that block others, then the one that runs longest. In two
        round trips. Their payloads are all read; for a page of them there is `longest`."""
        reads, keys = store.reads(), store.keys
        now, running = _published(store)
        empty: dict[bytes, bytes] = {}
        ledgers = {each: reads.ask(empty, "HGETALL", keys.ledger(each)) for each in running}
        reads.run()
        jobs = [
            job
            for process, fields in ledgers.items()
            for job in _jobs(store, process, fields.value, running[process], now)
        ]
        return sorted(jobs, key=_worst_first)

    @classmethod
    def longest(cls, store: Store, count: int = 100) -> list[RunningJob]:
        """The `count` jobs that run longest, and before them those that block others. Of those that
        run for less than a second none is among them. Three round trips; no other payload is
        read."""
        now, running = _published(store)
        blocking = [
            (process, each.blocking.slot)
            for process, each in running.items()
            if each.blocking is not None
        ]
        starts = (
            (since, process, slot)
            for process, each in running.items()
            for slot, since in each.since.items()
        )
        wanted: dict[tuple[str, str], None] = dict.fromkeys(blocking[:count])
        for _, process, slot in nsmallest(count, starts):
            if len(wanted) < count:
                wanted[process, slot] = None
        slots: defaultdict[str, list[str]] = defaultdict(list)
        for process, slot in wanted:
            slots[process].append(slot)
        return sorted(read_slots(store, slots, running, now), key=_worst_first)

    @classmethod
    def find(cls, store: Store, job_id: str) -> list[RunningJob]:
        """Those with this id: one, as a rule; a foreign program may use an id twice. Redis looks
        for it, and no other payload is read."""
        now, running = _published(store)
        return [
            job
            for held in store.processes.find_held([*running], job_id)
            for job in _jobs(
                store, held.process, {held.slot: held.entry}, running[held.process], now
            )
            if str(job.item.get("id")) == job_id
        ]


def _published(store: Store) -> tuple[float, dict[str, Running]]:
    """The server's time, and what each process publishes of its running jobs."""
    reads = store.reads()
    clock, processes = reads.now(), reads.names("ZRANGE", store.keys.ledgers, 0, -1)
    reads.run()
    raws = reads.texts([store.keys.running(each) for each in processes.value])
    reads.run()
    return clock.value, dict(zip(processes.value, map(parse_running, raws.value), strict=True))


def parse_running(raw: bytes | None) -> Running:
    """The jobs that a process publishes; none where another program wrote the key."""
    try:
        return Running() if raw is None else Running.parse(raw)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return Running()


def read_slots(
    store: Store, slots: Mapping[str, Sequence[str]], running: Mapping[str, Running], now: float
) -> list[RunningJob]:
    """The jobs in these slots of processes, in one round trip; those that ended are left out.
    `running` is what the processes published, `now` the time by the server's clock."""
    reads = store.reads()
    replies = {
        process: reads.hash_values(store.keys.ledger(process), wanted)
        for process, wanted in slots.items()
    }
    reads.run()
    return [
        job
        for process, reply in replies.items()
        for job in _jobs(
            store,
            process,
            {
                encoded(slot): value
                for slot, value in zip(slots[process], reply.value, strict=True)
                if value is not None
            },
            running[process],
            now,
        )
    ]


def _jobs(
    store: Store,
    process: str,
    fields: Mapping[bytes, bytes | LedgerEntry],
    running: Running,
    now: float,
) -> Iterable[RunningJob]:
    worker, _ = worker_and_pid(process)
    for slot_name, value in fields.items():
        if slot_name == STATE:
            continue
        slot = decoded(slot_name)
        entry = value if isinstance(value, LedgerEntry) else _entry(value)
        key = decoded(entry.queue_key)
        start, blocking = running.since.get(slot), running.blocking
        blocks = blocking is not None and blocking.slot == slot
        yield RunningJob(
            worker=worker,
            process=process,
            slot=slot,
            queue=store.keys.queue_of(key) or key,
            item=payload.loads(entry.raw),
            since=start,
            seconds=None if start is None else max(now - start, 0.0),
            blocks_seconds=max(now - blocking.since, 0.0) if blocking and blocks else None,
            stack=tuple(blocking.stack) if blocking and blocks else (),
        )


def _entry(value: bytes) -> LedgerEntry:
    """An item that cannot be read is shown as it is."""
    try:
        return parse_entry(value)
    except ValueError:
        return LedgerEntry(b"", value)


def _worst_first(job: RunningJob) -> tuple[bool, float, str, int, str]:
    """Those that block others, then those that run longest."""
    seconds = -(job.seconds or 0.0)
    return job.blocks_seconds is None, seconds, job.process, len(job.slot), job.slot
