"""Jobs of Rails' ActiveJob: performed here, and enqueued for Rails.

    from gresque.contrib import activejob

    @activejob.job("MailJob", retries=3)
    def mail(user_id, template, urgent=False): ...

A Rails program with the queue adapter `:resque` enqueues them by
`MailJob.perform_later(42, "welcome", urgent: true)`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar
from uuid import uuid4

from gresque.client.declare import OPTIONS, JobFunction
from gresque.client.declare import job as declare_job
from gresque.client.default import default_client
from gresque.errors import JobDeclarationError
from gresque.jobs.activejob import WRAPPER, job_in
from gresque.jobs.activejob_args import Range, Read, add_serializer, write_arguments
from gresque.jobs.current import current_job
from gresque.jobs.payload import decode
from gresque.jobs.registry import registry

P = ParamSpec("P")
R = TypeVar("R")

__all__ = ["ActiveJob", "Range", "current", "enqueue_to", "job", "serializer"]


def job(job_class: str, **options: Any) -> Callable[[Callable[P, R]], JobFunction[P, R]]:
    """Declare a function that performs the jobs of this class of Rails'.

    `options` are those of `gresque.job`, but for `name`. ActiveJob's `retry_on` and `discard_on`
    are Ruby code of the class: give `retries=`, `retry_on=` and their like here. The function is
    called with the arguments of `perform_later`; docs/activejob.md has a table of the types.
    Enqueued from Python, by `mail.enqueue(42)`, it is a job of gresque's as any other.
    """
    if not isinstance(job_class, str) or not job_class:
        raise JobDeclarationError(
            "write @activejob.job('MailJob') with the name of the class in Rails"
        )
    unknown = [name for name in options if name not in OPTIONS or name == "name"]
    if unknown:
        raise JobDeclarationError(
            f"job {job_class}: {', '.join(unknown)} is no option of @activejob.job; give those of "
            "gresque.job, but for name"
        )
    declare = declare_job(name=job_class, **options)

    def declare_active_job(function: Callable[P, R]) -> JobFunction[P, R]:
        made = declare(function)
        made.definition = replace(made.definition, is_active_job=True)
        registry.add(made.definition)
        return made

    return declare_active_job


def serializer(name: str) -> Callable[[Read], Read]:
    """Declare how to read what a serializer of the Rails program has written.

        @activejob.serializer("MoneySerializer")
        def money(found):
            return Money(found["amount"], found["currency"])

    `found` is its object, without `_aj_serialized`, and its members are read already.
    """

    def declare(read: Read) -> Read:
        add_serializer(name, read)
        return read

    return declare


@dataclass(frozen=True)
class ActiveJob:
    """What a payload of ActiveJob says beside the arguments."""

    job_class: str
    job_id: str
    """ActiveJob's id of the job; the payload's own is another one."""
    queue_name: str | None
    priority: int | None
    executions: int
    """1 at the first run; those in Rails before it came here, and its attempts here, count."""
    exception_executions: dict[str, int]
    """How often each `retry_on` of Rails has tried it again."""
    locale: str | None
    timezone: str | None
    enqueued_at: str | None
    """ISO 8601, as Rails writes it."""


def current() -> ActiveJob | None:
    """The ActiveJob that this code is part of; None outside of jobs, and in a job that no Rails
    program has enqueued."""
    running = current_job()
    found = None if running is None else job_in(decode(running.raw).args or ())
    if running is None or found is None:
        return None
    executions, by_exception = found.get("executions"), found.get("exception_executions")
    priority = found.get("priority")
    return ActiveJob(
        job_class=found["job_class"],
        job_id=str(found.get("job_id") or ""),
        queue_name=_text(found.get("queue_name")),
        priority=priority if isinstance(priority, int) else None,
        executions=(executions if isinstance(executions, int) else 0) + running.attempt,
        exception_executions=by_exception if isinstance(by_exception, dict) else {},
        locale=_text(found.get("locale")),
        timezone=_text(found.get("timezone")),
        enqueued_at=_text(found.get("enqueued_at")),
    )


def enqueue_to(queue: str, job_class: str, /, *args: Any, **kwargs: Any) -> str | None:
    """Enqueue a job that a Rails program performs, as its `perform_later` does. Returns ActiveJob's
    `job_id`, or None when middleware left the job out.

        activejob.enqueue_to("mailers", "MailJob", 42, "welcome", urgent=True)

    Raises UnserializableArgument for a value that ActiveJob cannot read, EnqueueError for a queue
    that is none, and the errors of Redis.
    """
    job_id = str(uuid4())
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    sent: dict[str, Any] = {
        "job_class": job_class,
        "job_id": job_id,
        "provider_job_id": None,
        "queue_name": queue,
        "priority": None,
        "arguments": write_arguments(job_class, args, kwargs),
        "executions": 0,
        "exception_executions": {},
        "locale": "en",
        "timezone": "UTC",
        "enqueued_at": now.replace("+00:00", "Z"),
    }
    return None if default_client().enqueue_to(queue, WRAPPER, sent) is None else job_id


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
