"""What is known of tracked jobs in a fake: the HASH `job:<id>` of each, as the scripts write it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import gresque.clock as clock
from gresque.jobs import attempts, payload
from gresque.jobs.envelope import members_of
from gresque.jobs.tracking import (
    TRACK_IN_BYTES,
    Details,
    encode_details,
    ttl_of,
    waiting_ms,
)
from gresque.store.track import ENDED, NewState, Track
from gresque.store.tracks import TrackedState
from gresque.testing.errors import NotImitated

if TYPE_CHECKING:
    from gresque.testing.waiting import Waiting


class _Known(NamedTuple):
    state: str
    job_class: str
    queue: str
    details: bytes
    expires: int
    """Milliseconds of the epoch."""


class FakeTracks:
    """In the place of `store.tracks.Tracks` and `store.result_waits.ResultWaits`."""

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting
        self.known: dict[str, _Known] = {}

    # As a client asks

    def read(self, ids: Sequence[str]) -> list[TrackedState | None]:
        with self._waiting.guard:
            return [self._read(job_id) for job_id in ids]

    def _read(self, job_id: str) -> TrackedState | None:
        found = self.known.get(job_id)
        if found is None or found.expires <= self._waiting.now_ms():
            return None
        job = self._waiting.later.get(job_id)
        return TrackedState(*found[:4], None if job is None else float(job.due_ms))

    def write(self, states: Sequence[NewState]) -> None:
        with self._waiting.guard:
            for each in states:
                found = self.known.get(each.job_id)
                if each.state:
                    self.note(each.job_id, each.state, each.details, each.expiry_ms)
                elif found is not None:
                    expires = max(found.expires, self._waiting.now_ms() + each.expiry_ms)
                    self.known[each.job_id] = found._replace(expires=expires)

    def wait(
        self, ids: Sequence[str], seconds: float | None, wanted: int
    ) -> dict[str, TrackedState | None]:
        """Nothing runs while a test waits, so this returns at once."""
        states = dict(zip(ids, self.read(ids), strict=True))
        over = {
            job_id: state
            for job_id, state in states.items()
            if state is None or state.state in ENDED
        }
        if len(over) < wanted and None not in over.values() and seconds is None:
            left = ", ".join(job_id for job_id in ids if job_id not in over)
            raise NotImitated(
                f"this wait would never end: in gresque.testing.fake() nothing runs meanwhile, and "
                f"job {left} has not run; call drain() before it"
            )
        return over

    def close(self) -> None:
        """It has no connections."""

    # As scripts write

    def begin(
        self, track: Track | None, queue: str, ids: Iterable[str], dues: Iterable[int]
    ) -> None:
        """These jobs of a call are enqueued."""
        if track is None:
            return
        now = self._waiting.now_ms()
        for job_id, due in zip(ids, dues, strict=True):
            expiry = waiting_ms(track.ttl_ms // 1000, max(due - now, 0))
            state = "later" if due > now else "queued"
            self.known[job_id] = _Known(state, track.job_class, queue, b"", now + expiry)

    def note(self, job_id: str, state: str, details: bytes, expiry_ms: int) -> None:
        found = self.known.get(job_id)
        job_class, queue = ("", "") if found is None else (found.job_class, found.queue)
        expires = self._waiting.now_ms() + expiry_ms
        self.known[job_id] = _Known(state, job_class, queue, details, expires)

    def start(self, queue: str, raw: bytes) -> None:
        """A job runs now."""
        details = details_of(queue, raw)
        if details is not None:
            expiry_ms = waiting_ms(ttl_of(members_of(raw)))
            self.note(str(payload.id_of(raw)), "running", encode_details(details), expiry_ms)


def details_of(queue: str, raw: bytes) -> Details | None:
    """What is known of a tracked job that starts now; None for one that is not tracked."""
    if TRACK_IN_BYTES not in raw:
        return None
    members = members_of(raw)
    if not ttl_of(members):
        return None
    return Details(
        name=payload.class_of(raw) or "",
        queue=queue,
        attempt=attempts.attempt_of(members),
        started=int(clock.now() * 1000),
        worker="gresque.testing",
    )
