"""What stands in the place of Redis in a test: jobs in queues, jobs that wait for their time, and
the locks of unique jobs. No server, no other process.

Every method may be called by several threads: a web framework's test client has some of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import count, repeat
from typing import NamedTuple

import gresque.clock as clock
from gresque.store.later_job import LaterJob, Times, member_for
from gresque.store.track import Track, track_of
from gresque.store.unique_job import Terms, UniqueJob
from gresque.testing.locks import Locks
from gresque.testing.tracks import FakeTracks

_numbers = count()


class Queued(NamedTuple):
    """A job in its queue."""

    number: int
    """In the order of enqueueing, over all queues."""
    raw: bytes


class Waiting:
    """The jobs of one namespace."""

    def __init__(self) -> None:
        self.guard = threading.RLock()
        self.queues: dict[str, list[Queued]] = {}
        self.later: dict[str, LaterJob] = {}
        """By the name under which each waits, in no order."""
        self.locks = Locks(self)
        self.tracks = FakeTracks(self)

    def now_ms(self) -> int:
        return int(clock.now() * 1000)

    # Enqueueing

    def push(self, queue: str, raws: Sequence[bytes]) -> None:
        with self.guard:
            track = track_of(raws)
            if track is not None:
                self.tracks.begin(track, queue, track.ids, repeat(0, len(track.ids)))
            jobs = self.queues.setdefault(queue, [])
            jobs.extend(Queued(next(_numbers), raw) for raw in raws)

    def schedule(self, queue: str, ids: Sequence[str], raws: Sequence[bytes], times: Times) -> None:
        with self.guard:
            start = self.now_ms() if times.are_delays else 0
            dues = [start + milliseconds for milliseconds in times.milliseconds]
            for job_id, raw, due in zip(ids, raws, dues, strict=True):
                self.add(queue, job_id, raw, due)
            self.tracks.begin(track_of(raws), queue, ids, dues)

    def enqueue(
        self, queue: str, terms: Terms, jobs: Sequence[UniqueJob], track: Track | None = None
    ) -> list[str | None]:
        """As `UniqueEnqueuer.enqueue`."""
        with self._undone_for_raise(terms) as holders:
            for job in jobs:
                holders.append(self.locks.enqueue(queue, terms, job))
                if holders[-1] is None:
                    later = self.later.get(job.job_id)
                    due = 0 if later is None else later.due_ms
                    self.tracks.begin(track, queue, [job.job_id], [due])
        return holders

    @contextmanager
    def _undone_for_raise(self, terms: Terms) -> Iterator[list[str | None]]:
        """With "raise" one duplicate means that no job of the call is enqueued."""
        holders: list[str | None] = []
        with self.guard:
            queues = {name: [*jobs] for name, jobs in self.queues.items()}
            later, locks = dict(self.later), self.locks.copied()
            known = dict(self.tracks.known)
            yield holders
            if terms.on_duplicate == "raise" and any(holders):
                self.queues, self.later, self.locks.held = queues, later, locks
                self.tracks.known = known

    def add(self, queue: str, job_id: str, raw: bytes, due_ms: int) -> None:
        """Let a job wait until it is due; one that is due goes to its queue."""
        if due_ms <= self.now_ms():
            self.push(queue, [raw])
            return
        member = member_for(job_id)
        while member in self.later:
            member += "-"
        self.later[member] = LaterJob(member, due_ms, queue, raw)

    # Working

    def by_due(self) -> list[LaterJob]:
        with self.guard:
            return sorted(self.later.values(), key=lambda job: (job.due_ms, job.member))

    def promote(self) -> None:
        """Move what is due to its queue, in the order of its times."""
        with self.guard:
            now = self.now_ms()
            for job in self.by_due():
                if job.due_ms > now:
                    return
                del self.later[job.member]
                self.push(job.queue, [job.raw])

    def next_of(self, queues: Collection[str] | None) -> tuple[int, str] | None:
        """Number and queue of the job that was enqueued first, of all queues or of these."""
        with self.guard:
            heads = [
                (jobs[0].number, queue)
                for queue, jobs in self.queues.items()
                if jobs and (queues is None or queue in queues)
            ]
            return min(heads, default=None)

    def take(self, queue: str) -> bytes:
        """The next job of the queue, as a worker starts it: the lock of a unique one is released,
        or gives it its latest arguments."""
        with self.guard:
            return self.locks.start(queue, self.queues[queue].pop(0).raw)

    def shown(self, raw: bytes) -> bytes:
        """A waiting payload with the arguments with which it will run."""
        with self.guard:
            return self.locks.latest(raw)

    def remove(self, queue: str, raw: bytes) -> int:
        """Remove every copy of an item from its queue."""
        with self.guard:
            before = self.queues.get(queue, [])
            left = [item for item in before if item.raw != raw]
            if before:
                self.queues[queue] = left
            return len(before) - len(left)

    def rewrite_later(self, job_id: str, raw: bytes, due_ms: int) -> None:
        """Change a job that waits for its time."""
        job = self.later[job_id]
        self.later[job_id] = job._replace(raw=raw, due_ms=due_ms)
