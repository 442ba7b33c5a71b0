"""Running jobs: the longest, those that block others, all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any

import msgspec

from gresque.inspector.filters import ANY, Filter
from gresque.inspector.names import worker_and_pid
from gresque.jobs import payload
from gresque.jobs.label import job_label
from gresque.store.commands import ON_THE_CPU, JobWait, Running, parse_waits
from gresque.store.ledger import STATE, LedgerEntry, parse_entry
from gresque.store.processes import Held
from gresque.store.store import Store
from gresque.text import decoded, encoded

NOTHING = LedgerEntry(b"", b"")
NO_WAIT = JobWait("", 0.0, "")
SEARCHED_CHARS = 2000
"""Of a job as a call: a text is looked for in these."""


@dataclass(frozen=True)
class RunningJob:
    """A job in a slot of a worker process: it runs, or is about to.

    `since` is known only for a job that has been running for over a second. `item` is its payload,
    `{"raw": text}` when that is no JSON object. `blocks_seconds` is for how long it has kept the
    other jobs of its process from running, where it does, and `stack` where it stands then. While
    a viewer looks (see `Commands.watch`) the oldest ones of a process have `waits_on`, their share
    of its CPU, 0 to 1, and the innermost `frame` of the user's code.
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
    waits_on: str = ""
    cpu_share: float | None = None
    frame: str = ""
    entry: LedgerEntry = NOTHING

    @property
    def label(self) -> str:
        """`myjobs.fetch("https://…", retries=3)`, cut after some 60 characters."""
        return job_label(self.item)

    @property
    def held(self) -> Held:
        """The slot and its content, as a kill wants it."""
        return Held(self.process, encoded(self.slot), self.entry)

    def is_wanted(self, wanted: Filter) -> bool:
        """Whether a filter means it; its process has been asked for before."""
        return wanted.matches(
            job_class=self.item.get("class"),
            queue=self.queue,
            seconds=self.seconds,
            job_id=self.item.get("id"),
            waits_on=self.waits_on,
            text=lambda: f"{job_label(self.item, SEARCHED_CHARS)}\n{self.item.get('id')}",
        )

    @classmethod
    def all(cls, store: Store, wanted: Filter = ANY) -> list[RunningJob]:
        """Every job in flight that is wanted: those that block others, then the one that runs
        longest. In three round trips. The payloads of those that are old enough are all read; for a
        page of them there is `longest`."""
        now, running, found = read_entries(store, wanted)
        jobs = (
            _job(process, slot, queue, entry, running[process], now)
            for process, slot, queue, entry in found
        )
        return sorted((job for job in jobs if job.is_wanted(wanted)), key=worst_first)

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
        return sorted(read_slots(store, slots, running, now), key=worst_first)


def _published(store: Store) -> tuple[float, dict[str, Running]]:
    """The server's time, and what each process publishes of its running jobs."""
    reads = store.reads()
    clock, processes = reads.now(), reads.names("ZRANGE", store.keys.ledgers, 0, -1)
    reads.run()
    raws = reads.texts([store.keys.running(each) for each in processes.value])
    waits = reads.texts([store.keys.waits(each) for each in processes.value])
    reads.run()
    found = map(parse_running, raws.value, waits.value)
    return clock.value, dict(zip(processes.value, found, strict=True))


def parse_running(raw: bytes | None, waits: bytes | None = None) -> Running:
    """The jobs that a process publishes, and what they wait on; none where another program wrote
    the key."""
    try:
        found = Running() if raw is None else Running.parse(raw)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        found = Running()
    found.waits = parse_waits(waits)
    return found


def read_entries(
    store: Store, wanted: Filter
) -> tuple[float, dict[str, Running], Iterator[tuple[str, str, str, LedgerEntry]]]:
    """The time by the server's clock, what processes publish, and the jobs that are old enough and
    in the right processes."""
    now, running = _published(store)
    running = {each: running[each] for each in wanted.processes(running)}
    slots = wanted.slots(running, now)
    if slots is not None:
        return now, running, _entries(store, _fields_of(store, slots))
    reads, keys = store.reads(), store.keys
    empty: dict[bytes, bytes] = {}
    ledgers = {each: reads.ask(empty, "HGETALL", keys.ledger(each)) for each in running}
    reads.run()
    return now, running, _entries(store, {each: found.value for each, found in ledgers.items()})


def read_slots(
    store: Store, slots: Mapping[str, Sequence[str]], running: Mapping[str, Running], now: float
) -> list[RunningJob]:
    """The jobs in these slots of processes, in one round trip; those that ended are left out.
    `running` is what the processes published, `now` the time by the server's clock."""
    return [
        _job(process, slot, queue, entry, running[process], now)
        for process, slot, queue, entry in _entries(store, _fields_of(store, slots))
    ]


def _fields_of(store: Store, slots: Mapping[str, Sequence[str]]) -> dict[str, dict[bytes, bytes]]:
    reads = store.reads()
    replies = {
        process: reads.hash_values(store.keys.ledger(process), wanted)
        for process, wanted in slots.items()
    }
    reads.run()
    return {
        process: {
            encoded(slot): value
            for slot, value in zip(slots[process], reply.value, strict=True)
            if value is not None
        }
        for process, reply in replies.items()
    }


def _entries(
    store: Store, ledgers: Mapping[str, Mapping[bytes, bytes]]
) -> Iterator[tuple[str, str, str, LedgerEntry]]:
    """Process, slot and queue of each job, and what stands in its slot."""
    for process, fields in ledgers.items():
        for slot, value in fields.items():
            if slot != STATE:
                entry = _entry(value)
                key = decoded(entry.queue_key)
                yield process, decoded(slot), store.keys.queue_of(key) or key, entry


def _job(
    process: str, slot: str, queue: str, entry: LedgerEntry, running: Running, now: float
) -> RunningJob:
    start, blocking = running.since.get(slot), running.blocking
    blocks = blocking is not None and blocking.slot == slot
    wait = running.waits.get(slot, NO_WAIT)
    return RunningJob(
        worker=worker_and_pid(process)[0],
        process=process,
        slot=slot,
        queue=queue,
        item=payload.loads(entry.raw),
        since=start,
        seconds=None if start is None else max(now - start, 0.0),
        blocks_seconds=max(now - blocking.since, 0.0) if blocking and blocks else None,
        stack=tuple(blocking.stack) if blocking and blocks else (),
        waits_on=wait.waits_on or (ON_THE_CPU if blocks else ""),
        cpu_share=None if wait is NO_WAIT else wait.cpu_share,
        frame=wait.frame,
        entry=entry,
    )


def _entry(value: bytes) -> LedgerEntry:
    """An item that cannot be read is shown as it is."""
    try:
        return parse_entry(value)
    except ValueError:
        return LedgerEntry(b"", value)


def worst_first(job: RunningJob) -> tuple[bool, float, str, int, str]:
    """Those that block others, then those that run longest."""
    seconds = -(job.seconds or 0.0)
    return job.blocks_seconds is None, seconds, job.process, len(job.slot), job.slot
