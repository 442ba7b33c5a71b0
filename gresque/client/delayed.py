"""Jobs that wait for their time, gresque's own and those of resque-scheduler's keys as one."""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha1
from itertools import islice
from typing import TYPE_CHECKING, Any

import gresque.clock as clock
from gresque.client.when import When, utc
from gresque.errors import InvalidPayload
from gresque.jobs import activejob, payload
from gresque.jobs.by_hand import effect_on_lock, note_ends, take_out
from gresque.jobs.delayed_item import read_item, with_due
from gresque.jobs.envelope import member, members_of
from gresque.jobs.filter_args import shown
from gresque.jobs.ids import new_id
from gresque.jobs.locks import job_id_of
from gresque.jobs.registry import registry
from gresque.jobs.tracking import TRACK_IN_BYTES, ttl_of, waiting_ms
from gresque.jobs.unique import mark_in
from gresque.store.later_job import LaterJob
from gresque.store.track import NewState
from gresque.text import encoded

if TYPE_CHECKING:
    from gresque.store.store import Store

PAGE = 500
_FOREIGN_ID = re.compile(r"([0-9]{1,12})-([0-9a-f]{16})")
_ATTEMPT = "attempt"


@dataclass(frozen=True)
class DelayedJob:
    """A job that waits for its time."""

    id: str
    """Of a job in resque-scheduler's keys, which have no ids: its time and a digest of it."""
    due: datetime
    """In UTC."""
    queue: str | None
    """None where the item of another program names none."""
    payload: dict[str, Any]
    """As `peek` returns it."""
    attempt: int | None
    """The number of the next attempt, for a job that failed and waits for that."""
    source: LaterJob | tuple[str, bytes]
    """Where it stands: in `later`, or a list of resque-scheduler's and the item in it."""

    @property
    def name(self) -> str | None:
        """The job's name: the class of its payload; of ActiveJob's the one that it wraps."""
        found = activejob.shown(self.payload).get("class")
        return found if isinstance(found, str) else None

    @property
    def shown(self) -> dict[str, Any]:
        """The payload as people see it: see `filter_args`."""
        return shown(activejob.shown(self.payload))

    @property
    def raw(self) -> bytes:
        return self.source.raw if isinstance(self.source, LaterJob) else self.source[1]


class DelayedJobs:
    """Lists and changes them. A change compares: a job that is moved to its queue at the same time
    is changed, or moved, and never both."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def now(self) -> float:
        """Epoch seconds by the server's clock."""
        return self._store.now()

    def count(self) -> int:
        return self._store.later.count() + sum(each.size for each in self._store.delayed.lists())

    def page(self, start: int = 0, count: int = 1) -> list[DelayedJob]:
        """`count` jobs from position `start`, the next due one first."""
        lists = [each for each in self._store.delayed.lists() if each.size]
        if not lists:
            return self.own_page(start, count)
        merged = heapq.merge(self.each_own(), self._each_foreign(lists), key=lambda job: job.due)
        return list(islice(merged, start, start + count))

    def own_page(self, start: int = 0, count: int = 1) -> list[DelayedJob]:
        """As `page`, of those in `later` alone."""
        return [_own(job) for job in self._store.later.page(start, count)]

    def each(self) -> Iterator[DelayedJob]:
        """All, the next due one first, read as they are taken."""
        lists = [each for each in self._store.delayed.lists() if each.size]
        yield from heapq.merge(self.each_own(), self._each_foreign(lists), key=lambda job: job.due)

    def find(self, job_id: str) -> DelayedJob | None:
        own = self._store.later.find(job_id)
        if own is not None:
            return _own(own)
        foreign = _FOREIGN_ID.fullmatch(job_id)
        if foreign is None:
            return None
        found = self._items(foreign[1], float(foreign[1]))
        return next((job for job in found if job.id == job_id), None)

    # Changes

    def cancel(self, job: DelayedJob) -> bool:
        """False when it does not wait any more."""
        source = job.source
        if isinstance(source, LaterJob):
            effect = effect_on_lock(self._store.keys, source.queue, source.raw)
            if effect is None:
                is_gone = self._store.later.cancel(source.member)
            else:
                locks = self._store.locks
                is_gone = bool(locks.take_out(source.queue, effect, member=source.member))
            if is_gone:
                note_ends(self._store, source.queue, [source.raw])
            return is_gone
        return self._store.delayed.cancel(*source)

    def run_now(self, job: DelayedJob) -> bool:
        """To the end of its queue. Raises InvalidPayload for an item without a queue."""
        source, now = job.source, round(clock.now(), 3)
        if isinstance(source, LaterJob):
            return self._store.later.run_now(source, with_due(source.raw, now))
        queue, raw = _readable(source[1], now)
        return self._store.delayed.run_now(*source, queue, raw)

    def put_off(self, job: DelayedJob, when: When) -> bool:
        """Give it another time. A job of resque-scheduler's keys waits in `later` from then on.
        Raises InvalidPayload as `run_now`."""
        source, due = job.source, when.run_at()
        milliseconds = when.milliseconds()
        if isinstance(source, LaterJob):
            mark, raw = mark_in(source.raw), with_due(source.raw, due)
            lock = None if mark is None else (mark.digest, job_id_of(raw))
            moved = self._store.later.put_off(
                source, raw, milliseconds, is_delay=when.is_delay, lock=lock
            )
            if moved and TRACK_IN_BYTES in raw and (ttl := ttl_of(members_of(raw))):
                left = max(due - clock.now(), 0)
                self._store.tracks.write([
                    NewState(source.member, expiry_ms=waiting_ms(ttl, round(left * 1000)))
                ])  # fmt: skip
            return moved
        queue, raw = _readable(source[1], due)
        entry = LaterJob("", 0, queue, raw).entry(self._store.keys)
        return self._store.delayed.put_off(
            *source, new_id(), entry, milliseconds, is_delay=when.is_delay
        )

    def remove(self, matches: Callable[[bytes], bool]) -> int:
        """Cancel all whose payload matches; returns how many. Reads all of them."""
        found = [job for job in self.each() if matches(job.raw)]
        return sum(map(self.cancel, found))

    def each_own(self) -> Iterator[DelayedJob]:
        """Those in `later`, the next due one first, read as they are taken."""
        return map(_own, self._store.later.each())

    def _each_foreign(self, lists: Iterable[Any]) -> Iterator[DelayedJob]:
        for each in lists:
            yield from self._items(each.timestamp, each.due)

    def _items(self, timestamp: str, due: float) -> Iterator[DelayedJob]:
        start = 0
        while items := self._store.delayed.items(timestamp, start, PAGE):
            for item in items:
                yield _foreign(timestamp, due, item)
            start += PAGE


def cancel_waiting(store: Store, job_id: str) -> bool:
    """Take a job with this id out of its queue; False when it waits in none. Reads all queues."""
    wanted = encoded(job_id)
    for queue in store.queues.names():
        for raw in store.queues.each(queue):
            if wanted in raw and payload.loads(raw).get("id") == job_id:
                return bool(take_out(store, queue, [raw]))
    return False


def _own(job: LaterJob) -> DelayedJob:
    attempt = member(members_of(job.raw), _ATTEMPT, int)
    found = payload.read(job.raw)
    return DelayedJob(job.member, utc(job.due_ms), job.queue, found, attempt, job)


def _foreign(timestamp: str, due: float, item: bytes) -> DelayedJob:
    found = payload.read(item)
    queue = found.get("queue")
    job_id = f"{timestamp}-{sha1(item, usedforsecurity=False).hexdigest()[:16]}"
    return DelayedJob(
        job_id,
        utc(due * 1000),
        queue if isinstance(queue, str) else None,
        found,
        None,
        (timestamp, item),
    )


def _readable(item: bytes, due: float) -> tuple[str, bytes]:
    job = read_item(item, due, registry.queue_of)
    if not job.queue:
        raise InvalidPayload(f"the delayed job {job.name} names no queue, and is not declared here")
    return job.queue, job.raw
