"""The tracked jobs that run in a process, and what is to be written of them.

Nothing is written on a connection of its own: turns carry it, to the same server, fenced as they
are. So a process that was given up overwrites nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from time import monotonic, time
from typing import Any

from msgspec import Raw

from gresque.jobs import attempts, payload
from gresque.jobs.envelope import members_of
from gresque.jobs.tracking import (
    Details,
    checked_progress,
    encode_details,
    encode_result,
    ttl_of,
    waiting_ms,
)
from gresque.settings import RESULT_MAX_BYTES
from gresque.store.effects import Effect, noted
from gresque.store.keys import Keys

ReservedJob = tuple[bytes, str, bytes]

BRIEF_SECONDS = 0.05
"""Of a job that ends before this time nothing is written but its end."""
NOTE_SECONDS = 0.5
"""A running job is written of at most this often."""
MOST_NOTES = 50
"""Notes of one turn; each takes seven arguments and keys."""


class TrackedRun:
    """A tracked job that runs, or has run and is not settled yet."""

    __slots__ = ("details", "due", "id", "job", "told_at", "ttl")

    def __init__(self, job: ReservedJob, job_id: str, ttl: int, details: Details) -> None:
        self.job = job
        self.id = job_id
        self.ttl = ttl
        self.details = details
        self.due: float | None = None
        """When the next note is due, on the monotonic clock; None where there is nothing new."""
        self.told_at = 0.0


class TrackedRuns(dict[bytes, TrackedRun]):
    """By slot. One native thread uses it: that of the process's loop."""

    def __init__(self, keys: Keys) -> None:
        super().__init__()
        self._keys = keys
        self._process_id = ""
        self._pid = 0
        self._result_max_bytes = RESULT_MAX_BYTES
        self._order = count()
        self._due: list[tuple[float, int, TrackedRun]] = []
        self.on_note: Callable[[float], None] = lambda seconds: None
        """Called with the seconds until a note is due that is due before all others."""

    def work_as(self, process_id: str, result_max_bytes: int = RESULT_MAX_BYTES) -> None:
        """The name of the process, which what is written of its jobs says."""
        self._process_id = process_id
        self._result_max_bytes = result_max_bytes
        self._pid = os.getpid()

    @property
    def is_copy(self) -> bool:
        """This is the memory of a process that a job has forked."""
        return os.getpid() != self._pid

    def begin(self, job: ReservedJob) -> None:
        """This job, which may be tracked, starts now."""
        members = members_of(job[2])
        ttl, job_id = ttl_of(members), payload.id_of(job[2])
        if not ttl or not isinstance(job_id, str):
            return
        details = Details(
            name=payload.class_of(job[2]) or "",
            queue=job[1],
            attempt=attempts.attempt_of(members),
            started=int(time() * 1000),
            worker=self._process_id,
        )
        run = self[job[0]] = TrackedRun(job, job_id, ttl, details)
        self._plan(run, monotonic() + BRIEF_SECONDS)

    def report(self, job: ReservedJob, done: Any, total: Any, note: Any) -> bool:
        """Note the progress of a job; False where it is not tracked, or does not run any more.
        Raises ValueError."""
        progress = checked_progress(done, total, note)
        run = self.get(job[0])
        if run is None or run.job is not job:
            return False
        run.details.progress = progress
        if run.due is None:
            self._plan(run, max(monotonic(), run.told_at + NOTE_SECONDS))
        return True

    def keep_result(self, job: ReservedJob, name: str, result: object) -> None:
        """Keep what a job has returned, if it is tracked. Raises UnserializableResult."""
        run = self.get(job[0])
        if run is not None and run.job is job:
            run.details.value = Raw(encode_result(name, result, self._result_max_bytes))

    def details_of(self, job: ReservedJob) -> Details | None:
        """What is known of the run of this job; None where it is not tracked, or has not begun."""
        run = self.get(job[0])
        return run.details if run is not None and run.job is job else None

    def done(self, run: TrackedRun) -> Effect:
        """The effect of the end of a job that has returned: as `effects_of` says for `End.DONE`, in
        a part of its time."""
        details = run.details
        details.ended = int(time() * 1000)
        return noted(self._keys, run.id, "done", encode_details(details), run.ttl * 1000)

    # Notes

    @property
    def is_due(self) -> bool:
        """Whether a turn is to carry a note now."""
        left = self.seconds_left()
        return left is not None and left <= 0

    def seconds_left(self) -> float | None:
        """Until the next note is due; None where there is none."""
        due = self._due
        while due and self.get(due[0][2].job[0]) is not due[0][2]:
            heappop(due)  # its job has ended
        return due[0][0] - monotonic() if due else None

    def take_notes(self) -> tuple[Effect, ...]:
        """The notes that are due, which a turn carries: MOST_NOTES of them."""
        notes: list[Effect] = []
        now = monotonic()
        while self._due and self._due[0][0] <= now and len(notes) < MOST_NOTES:
            _, _, run = heappop(self._due)
            if self.get(run.job[0]) is run:
                run.due, run.told_at = None, now
                raw, expiry_ms = encode_details(run.details), waiting_ms(run.ttl)
                notes.append(noted(self._keys, run.id, "running", raw, expiry_ms))
        if self._due:
            self.on_note(max(self._due[0][0] - now, 0.0))
        return tuple(notes)

    def note_all(self) -> None:
        """The server may have forgotten notes: write of all that run again."""
        now = monotonic()
        for run in list(self.values()):
            if run.due is None:
                self._plan(run, now)

    def _plan(self, run: TrackedRun, due: float) -> None:
        run.due = due
        heappush(self._due, (due, next(self._order), run))
        if self._due[0][2] is run:
            self.on_note(max(due - monotonic(), 0.0))
