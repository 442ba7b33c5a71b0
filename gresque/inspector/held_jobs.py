"""All jobs in flight, as far as lists and counts of them need: class, queue, id.

Their payloads are read for that, so it is done every few seconds, and less often the longer it
takes.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec

from gresque.inspector.filters import Filter
from gresque.jobs import payload
from gresque.jobs.activejob import class_in
from gresque.jobs.envelope import UNREADABLE
from gresque.jobs.label import job_label
from gresque.store.ledger import STATE, parse_entry
from gresque.store.store import Store
from gresque.text import decoded

EVERY_SECONDS = 5.0
BUSY_SHARE = 0.05
"""Of one CPU at most, by reading less often."""
AT_ONCE = 20
"""Ledgers of one round trip: a payload may have megabytes."""
KEPT_ANSWERS = 8
KEPT_BYTES = 2000
"""Of a longer payload only class and id are kept."""

Place = tuple[str, str]
"""A process and a slot."""


class _Item(msgspec.Struct):
    name: Any = msgspec.field(name="class", default=None)
    id: Any = None


_decode = msgspec.json.Decoder(_Item).decode


class HeldJob:
    """A job in a slot of a process."""

    __slots__ = ("_label", "_meant", "_raw", "id", "job", "queue", "value")

    def __init__(self, value: bytes, queue: str, raw: bytes) -> None:
        self.queue = queue
        try:
            found = _decode(raw)
        except UNREADABLE:
            found = _Item()
        name = class_in(found.name, raw)
        self.job: str | None = name if isinstance(name, str) else None
        self.id: str | None = None if found.id is None else str(found.id)
        self.value = hash(value)
        """Of what stood in the slot, to see whether another job does now."""
        self._raw = raw if len(raw) <= KEPT_BYTES else b""
        self._label: str | None = None
        self._meant: dict[Filter, bool] = {}

    def is_meant(self, wanted: Filter) -> bool:
        """Whether a filter without ages and hosts means it. Answers are kept: each second asks for
        those of thousands of jobs."""
        found = self._meant.get(wanted)
        if found is None:
            if len(self._meant) >= KEPT_ANSWERS:
                self._meant.clear()
            found = self._meant[wanted] = wanted.matches(
                job_class=self.job,
                queue=self.queue,
                job_id=self.id,
                text=lambda: f"{self.label}\n{self.id}",
            )
        return found

    @property
    def label(self) -> str:
        """The job as a call, cut; of a large one the class alone."""
        if self._label is None:
            item = payload.loads(self._raw) if self._raw else {}
            self._label = job_label(item) if item else f"{self.job or ''}(…)"
        return self._label


class HeldJobs:
    """By place. `taken` is when they were read, on the monotonic clock."""

    def __init__(self, jobs: Mapping[Place, HeldJob], taken: float) -> None:
        self._jobs = jobs
        self.taken = taken

    def __len__(self) -> int:
        return len(self._jobs)

    def get(self, place: Place) -> HeldJob | None:
        return self._jobs.get(place)

    def at(self, places: Iterable[Place]) -> list[HeldJob]:
        """Those of these places that are known."""
        return [*filter(None, map(self._jobs.get, places))]

    def items(self) -> Iterator[tuple[Place, HeldJob]]:
        return iter(self._jobs.items())

    @cached_property
    def by_queue(self) -> Counter[str]:
        return Counter(job.queue for job in self._jobs.values())

    @cached_property
    def by_class(self) -> Counter[str]:
        return Counter(job.job or "" for job in self._jobs.values())


class HeldReader:
    """Reads them again when it is time. One thread calls it. Raises redis-py's errors."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last = HeldJobs({}, float("-inf"))
        self._next_at = float("-inf")

    def read(self, process_ids: Sequence[str]) -> HeldJobs:
        began = time.monotonic()
        if began < self._next_at:
            return self._last
        found: dict[Place, HeldJob] = {}
        busy = 0.0
        for start in range(0, len(process_ids), AT_ONCE):
            some = process_ids[start : start + AT_ONCE]
            used = time.thread_time()
            found.update(self._some(some))
            busy += time.thread_time() - used
        self._last = HeldJobs(found, began)
        self._next_at = began + max(EVERY_SECONDS, busy / BUSY_SHARE)
        return self._last

    def _some(self, process_ids: Sequence[str]) -> Iterator[tuple[Place, HeldJob]]:
        keys, reads = self._store.keys, self._store.reads()
        empty: dict[bytes, bytes] = {}
        ledgers = {each: reads.ask(empty, "HGETALL", keys.ledger(each)) for each in process_ids}
        reads.run()
        last = self._last
        for process, ledger in ledgers.items():
            for slot, value in ledger.value.items():
                if slot == STATE:
                    continue
                place = process, decoded(slot)
                known = last.get(place)
                if known is None or known.value != hash(value):
                    known = self._job(value)
                yield place, known

    def _job(self, value: bytes) -> HeldJob:
        try:
            entry = parse_entry(value)
        except ValueError:
            return HeldJob(value, "", value)
        key = decoded(entry.queue_key)
        return HeldJob(value, self._store.keys.queue_of(key) or key, entry.raw)
