"""The stack of one job for a page: asked for at most every few seconds, however many look."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

from gresque.control.stacks import ask_stacks
from gresque.inspector.running import RunningJob
from gresque.raised import CARRYING
from gresque.store.store import Store
from gresque.web.frames import Shown, frames_of

FRESH_SECONDS = 3.0
WAIT_SECONDS = 1.5
MOST = 200


@dataclass(frozen=True)
class JobStack:
    """The innermost frame first. `on_cpu` is None where nobody has answered."""

    at: float
    frames: Sequence[Shown] = ()
    on_cpu: bool | None = None
    waits_on: str = ""

    @property
    def age(self) -> float:
        return time.monotonic() - self.at

    @classmethod
    def unknown(cls) -> JobStack:
        """Nobody could be asked."""
        return cls(time.monotonic())


class AnyStacks(Protocol):
    """What pages ask, of one shard or of all."""

    def of(self, job: RunningJob, by: str) -> JobStack: ...


class Stacks:
    """Any number of threads or greenlets may ask."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = Lock()
        self._found: dict[tuple[str, str], JobStack] = {}

    def of(self, job: RunningJob, by: str) -> JobStack:
        key = job.process, str(job.item.get("id"))
        with self._lock:
            kept = self._found.get(key)
        if kept is not None and kept.age < FRESH_SECONDS:
            return kept
        # Without the lock: a process that does not answer holds up nobody who looks at others.
        asked = self._ask(job, by)
        with self._lock:
            self._found[key] = asked
            while len(self._found) > MOST:
                del self._found[next(iter(self._found))]
        return asked

    def _ask(self, job: RunningJob, by: str) -> JobStack:
        job_id = job.item.get("id")
        if job.stack or job_id is None:
            return JobStack(time.monotonic(), _frames(job.stack), on_cpu=bool(job.stack) or None)
        answers = ask_stacks(
            self._store, [job.process], by=by, wait_seconds=WAIT_SECONDS, job_id=str(job_id)
        )
        for greenlet in answers[job.process] or ():
            stack = [str(line) for line in greenlet.get("stack") or ()]
            waits_on = greenlet.get("waits_on") or ""
            return JobStack(
                time.monotonic(), _frames(stack), bool(greenlet.get("on_cpu")), str(waits_on)
            )
        return JobStack.unknown()


def _frames(stack: Sequence[str]) -> list[Shown]:
    """Without the frames that carry whatever waits."""
    return frames_of(line for line in stack if CARRYING.search(line) is None)
