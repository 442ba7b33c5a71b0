"""Jobs that wait to run again: failed ones before their next attempt, snoozes, and jobs whose code
no worker has had so far."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gresque.client.delayed import DelayedJob, DelayedJobs
from gresque.jobs.attempts import (
    ATTEMPT,
    SNOOZES,
    UNKNOWN_SINCE,
    AttemptError,
    attempt_of,
    errors_of,
    snoozes_of,
    time_of,
)
from gresque.jobs.envelope import members_of
from gresque.store.store import Store
from gresque.text import counted


@dataclass(frozen=True)
class WaitingRetry:
    """A job that waits to run again, and why."""

    job: DelayedJob
    attempt: int
    """The number of the attempt that comes."""
    history: list[AttemptError]
    """Its last failed attempts, the newest at the end."""
    snoozes: int
    """How often in a row it asked to run later, or raised an exception that it ignores."""
    unknown_since: float | None
    """Since when no worker that took it knew its name, in epoch seconds."""

    @property
    def id(self) -> str:
        return self.job.id

    @property
    def due(self) -> datetime:
        return self.job.due

    @property
    def queue(self) -> str | None:
        return self.job.queue

    @property
    def name(self) -> str | None:
        return self.job.name

    @property
    def exception(self) -> str | None:
        """That of the last attempt; `UnknownJob` for a job that waits for its code."""
        if self.unknown_since is not None:
            return "UnknownJob"
        return self.history[-1].error_class if self.history else None

    @property
    def reason(self) -> str:
        """The last error in one line, or what else it waits for."""
        if self.unknown_since is not None:
            return "no worker that took it knows its name"
        last = self.history[-1] if self.history else None
        if self.snoozes:
            return f"put off {counted(self.snoozes, 'time')} in a row"
        return "" if last is None else f"{last.error_class}: {last.message}"

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "due": self.due.isoformat(),
            "queue": self.queue,
            "class": self.name,
            "attempt": self.attempt,
            "snoozes": self.snoozes,
            "unknown_since": self.unknown_since,
            "exception": self.exception,
            "errors": [
                {"at": at, "class": name, "message": text} for at, name, text in self.history
            ],
            "payload": self.job.shown,
        }


@dataclass(frozen=True)
class WantedRetries:
    """Which of them; None means any."""

    job_class: str | None = None
    queue: str | None = None
    exception: str | None = None

    def __bool__(self) -> bool:
        return any((self.job_class, self.queue, self.exception))

    def matches(self, each: WaitingRetry) -> bool:
        return (
            self.job_class in (None, each.name)
            and self.queue in (None, each.queue)
            and self.exception in (None, each.exception)
        )


class WaitingRetries:
    """Reads them, the next one first; what is only delayed is passed over."""

    def __init__(self, store: Store) -> None:
        self.jobs = DelayedJobs(store)

    def each(self, wanted: WantedRetries | None = None) -> Iterator[WaitingRetry]:
        """Read as they are taken."""
        wanted = wanted or WantedRetries()
        found = (read_retry(job) for job in self.jobs.each_own())
        return (each for each in found if each is not None and wanted.matches(each))

    def find(self, job_id: str) -> WaitingRetry | None:
        job = self.jobs.find(job_id)
        return None if job is None else read_retry(job)


def read_retry(job: DelayedJob) -> WaitingRetry | None:
    """None for a job that is only delayed."""
    members = members_of(job.raw)
    if not {ATTEMPT, SNOOZES, UNKNOWN_SINCE} & members.keys():
        return None
    return WaitingRetry(
        job,
        attempt_of(members),
        errors_of(members),
        snoozes_of(members),
        time_of(members, UNKNOWN_SINCE),
    )
