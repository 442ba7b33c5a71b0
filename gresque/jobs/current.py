"""The job that runs here: `gresque.current_job()`. A worker process registers how to find it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import msgspec

import gresque.clock as clock
from gresque.errors import GresqueError
from gresque.jobs.activejob import class_in
from gresque.jobs.attempts import (
    FIRST_FAILED_AT,
    AttemptError,
    attempt_of,
    errors_of,
    time_of,
)
from gresque.jobs.envelope import META, SCHEDULED_FOR, UNREADABLE, Members, member, members_of
from gresque.jobs.ids import enqueued_at
from gresque.jobs.retry_policy import retries_of, time_left


class _Head(msgspec.Struct):
    """What a payload says of its job; to read it takes no object for any argument."""

    name: Any = msgspec.field(name="class", default="")
    id: Any = None
    generation: Any = None


_head = msgspec.json.Decoder(_Head).decode


class CurrentJob:
    """The job that runs now. The payload is read when something is asked for the first time."""

    def __init__(self, queue: str, raw: bytes) -> None:
        self.queue = queue
        """The queue it was taken from."""
        self._raw = raw
        self._known: Members | None = None
        self._meta: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"<CurrentJob {self.name} {self.id} from {self.queue}>"

    @property
    def id(self) -> str | None:
        """None when the program that enqueued it gives no ids, as Ruby's resque."""
        found = self._head.id
        return None if found is None else str(found)

    @property
    def raw(self) -> bytes:
        """Its payload, as it stands in Redis."""
        return self._raw

    @property
    def name(self) -> str:
        """The "class" of its payload, such as `mail.send_email`; of ActiveJob's its own class."""
        return str(class_in(self._head.name, self._raw))

    @property
    def attempt(self) -> int:
        """1 for the first one."""
        return attempt_of(self._members)

    @property
    def last_attempt(self) -> bool:
        """No other one follows when this one fails, whatever it raises; but for what its
        declaration ignores, and RetryLater."""
        from gresque.jobs.registry import registry  # whose jobs need this module for middleware

        definition = registry.find(self.name)
        policy = None if definition is None else definition.retry
        if self.attempt > retries_of(policy, self._members, _default_retries):
            return True
        left = time_left(policy, self._members, clock.now())
        return left is not None and left <= 0

    @property
    def first_failed_at(self) -> float | None:
        """When its first attempt failed, in epoch seconds; None at the first attempt."""
        return time_of(self._members, FIRST_FAILED_AT)

    @property
    def history(self) -> list[AttemptError]:
        """Its last ten failed attempts, the newest at the end: `at`, `error_class`, `message`."""
        return errors_of(self._members)

    @property
    def generation(self) -> int:
        """1 from the start, one more for each retry by hand."""
        found = self._head.generation
        return found if type(found) is int else 1

    @property
    def enqueued_at(self) -> float | None:
        """In epoch seconds; None when its id does not say so (see `gresque.enqueued_at`)."""
        return enqueued_at(self._head.id)

    @property
    def scheduled_for(self) -> datetime | None:
        """The time of the schedule for which it runs, in the zone of its entry; None for a job that
        no schedule has enqueued."""
        text = member(self._members, SCHEDULED_FOR, str)
        try:
            found = None if text is None else datetime.fromisoformat(text)
        except ValueError:  # another program wrote it
            return None
        return found if found is None or found.tzinfo else found.replace(tzinfo=UTC)

    @property
    def recoveries(self) -> int:
        """How many processes have died under it so far."""
        return max(member(self._members, "recoveries", int) or 0, 0)

    @property
    def meta(self) -> dict[str, Any]:
        """What enqueue middleware and `gresque.propagate` noted for it; empty without any. Changes
        hold for this attempt."""
        if self._meta is None:
            self._meta = member(self._members, META, dict) or {}
        return self._meta

    @cached_property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger with the job's name, whose records have the fields of the job also where a
        handler is not gresque's."""
        return _JobLogger(logging.getLogger(self.name), self.fields)

    @cached_property
    def fields(self) -> dict[str, object]:
        """What every log record of the job has: `job_id`, `job`, `queue` and `attempt`."""
        return {
            "job_id": self.id,
            "job": self.name,
            "queue": self.queue,
            "attempt": self.attempt,
        }

    @cached_property
    def _head(self) -> _Head:
        try:
            return _head(self._raw)
        except UNREADABLE:  # the worker says so: it never starts
            return _Head()

    @property
    def _members(self) -> Members:
        if self._known is None:  # a cached_property takes a lock
            self._known = members_of(self._raw)
        return self._known


class _JobLogger(logging.LoggerAdapter[logging.Logger]):
    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


_given: ContextVar[CurrentJob | None] = ContextVar("gresque_job", default=None)
_default_retries = 0
_find: Callable[[], CurrentJob | None] = lambda: None  # noqa: E731
_report: Callable[[float, float | None, str], bool] = lambda done, total, note: False  # noqa: E731


def current_job() -> CurrentJob | None:
    """The job that this code is part of; None outside of jobs.

    It works in the job, in its perform and failure hooks, in what it calls, in greenlets and
    threads that it has started (also when it has ended before them), in a process that it forks,
    and in log filters and processors.

        job = gresque.current_job()
        job.log.info("attempt %d", job.attempt)
    """
    return _given.get() or _find()


def progress(done: float, total: float | None = None, note: str = "") -> bool:
    """Say how far the job is that this code is part of, for `gresque.status`.

        for number, row in enumerate(rows, 1):
            load(row)
            gresque.progress(number, len(rows), note=row.name)

    It costs no trip to Redis, so it may be called often: at most two a second are written, the last
    one always. Returns False for a job that is not tracked, in code that outlives its job, and in
    a process that the job has forked.
    Raises GresqueError outside of jobs, ValueError for what are no numbers.
    """
    if current_job() is None:
        raise GresqueError("progress() is for jobs: no job runs here")
    return _report(done, total, note)


def find_by(
    find: Callable[[], CurrentJob | None],
    default_retries: int = 0,
    report: Callable[[float, float | None, str], bool] | None = None,
) -> None:
    """In a worker process: how to find the job that runs in this thread of control, the setting
    RETRIES, and how to note the progress of that job."""
    global _find, _default_retries, _report
    _find, _default_retries = find, default_retries
    if report is not None:
        _report = report


@contextmanager
def running(job: CurrentJob) -> Iterator[None]:
    """For what runs on behalf of a job and is no thread of a worker: `inline`, hooks of a job that
    was killed before it started."""
    token = _given.set(job)
    try:
        yield
    finally:
        _given.reset(token)
