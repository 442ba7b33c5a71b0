"""How users declare schedules: `@gresque.cron` and `gresque.every`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from inspect import isfunction
from typing import Any, TypeVar

from gresque.client.when import Delay
from gresque.errors import GresqueError, ScheduleError
from gresque.jobs.definition import JobDefinition
from gresque.jobs.payload import split
from gresque.jobs.unique import key_of
from gresque.schedule.declared import declared
from gresque.schedule.entry import Entry, arguments, check
from gresque.schedule.every import Every
from gresque.schedule.line import CronLine

T = TypeVar("T")


def cron(
    line: str,
    *,
    tz: str | None = None,
    name: str | None = None,
    args: Any = None,
    description: str = "",
    catch_up: str = "one",
    max_late_seconds: Delay | None = 3600.0,
    jitter_seconds: Delay = 0,
    overlap: str = "allow",
    enabled: bool = True,
) -> Callable[[T], T]:
    """Decorator: enqueue a job whenever a cron line is due.

        @gresque.cron("30 2 * * *", tz="Europe/Berlin")
        @gresque.job(queue="reports")
        def nightly(): ...

    It stands above or below `@gresque.job`, or above a `gresque.Job`. The line has five fields, six
    with the seconds first, and may end with the zone; without one it is UTC. `name` names the
    entry, by default as its job. `args` are a tuple or list, or a dict of keywords.

    `catch_up` says what becomes of ticks that were missed: "one" job for all of them, "all" (100 at
    most), or "skip". A tick that is later than `max_late_seconds` never runs; None: there is no
    limit. Each tick is delayed by a time of its own of up to `jitter_seconds`. With
    `overlap="skip"` a tick does not run while the job of an earlier one waits, runs or is to be
    tried again.

    Workers that require the module declare the entry in Redis at their start. See docs/time.md.
    """
    found = CronLine(line, tz)
    return _declare(
        {"cron": found.line, "tz": found.tz}, name, args,
        description=description, catch_up=catch_up, max_late_seconds=max_late_seconds,
        jitter_seconds=jitter_seconds, overlap=overlap, enabled=enabled,
    )  # fmt: skip


def every(
    interval: float | str | timedelta,
    *,
    name: str | None = None,
    args: Any = None,
    description: str = "",
    catch_up: str = "one",
    max_late_seconds: Delay | None = 3600.0,
    jitter_seconds: Delay = 0,
    overlap: str = "allow",
    enabled: bool = True,
) -> Callable[[T], T]:
    """As `cron`, at each multiple of an interval since the epoch, whenever the worker started.

        gresque.every(900)(nightly)     # at :00, :15, :30 and :45

    The interval is a number of seconds, a timedelta, or a text such as "15m" or "1h30m".
    """
    return _declare(
        {"every": Every(interval).seconds}, name, args,
        description=description, catch_up=catch_up, max_late_seconds=max_late_seconds,
        jitter_seconds=jitter_seconds, overlap=overlap, enabled=enabled,
    )  # fmt: skip


def _declare(
    times: dict[str, Any], name: str | None, args: Any, **options: Any
) -> Callable[[T], T]:
    def declare(definition: JobDefinition) -> None:
        try:
            entry = entry_for(
                name or definition.name, definition, None, args, source="code", **times, **options
            )
        except GresqueError as error:
            raise ScheduleError(f"the schedule of job {definition.name}: {error}") from None
        declared.add(entry, definition)

    def decorate(job: T) -> T:
        definition = getattr(job, "definition", None)
        if isinstance(definition, JobDefinition):
            declare(definition)
        elif isfunction(job):
            declared.expect_job(job, declare)
        else:
            raise ScheduleError(
                f"{job!r} has a schedule and is no job; write it at a function with "
                "@gresque.job(queue='...'), or at a subclass of gresque.Job with perform"
            )
        return job

    return decorate


def entry_for(
    name: str, job: JobDefinition | str, queue: str | None, args: Any, **options: Any
) -> Entry:
    """An entry for a job that is declared here, or for the name of one that another program
    declares. Raises ScheduleError and WrongArguments."""
    given = arguments(args)
    options |= {
        option: value.total_seconds()
        for option, value in options.items()
        if isinstance(value, timedelta)
    }
    if isinstance(job, str):
        if queue is None:
            raise ScheduleError(f"the queue of job {job!r} is not known here; give queue=")
        return check(Entry(name=name, job=job, queue=queue, args=given, **options))
    if job.queue is None and queue is None:
        raise ScheduleError(f"job {job.name} has no queue; declare one")
    if job.check_call is not None:
        job.check_call(*split(given))
    if job.typed_args is not None:
        positional, keywords = job.wire_of(*split(given))
        given = [*positional, *arguments(keywords)]
    return check(
        Entry(
            name=name,
            job=job.name,
            queue=queue or job.queue or "",
            args=given,
            envelope=job.envelope,
            expires_seconds=job.expires_seconds,
            unique=_lock_of(job, given),
            **options,
        )
    )


def _lock_of(job: JobDefinition, given: list[Any]) -> tuple[str, str, str] | None:
    """The lock that a job takes with these arguments, if it is declared as unique. Raises
    EnqueueError."""
    rule = job.unique
    if rule is None or rule.mark("") is None:
        return None
    key = key_of(rule, job, *split(given))
    return key.digest, rule.mode, key.text
