"""Enqueueing for later: a job is made as `enqueue` makes it, and waits in `later` until it is due.

Its enqueue hooks run now, as the moving of due jobs needs none of their code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count, repeat
from typing import Any, NamedTuple, TypeVar

from gresque.client.enqueue import (
    Arguments,
    NewJob,
    allowed,
    check_reach,
    end_bulk,
    make_job,
    most_at_once,
    run_or_push,
    track_of,
)
from gresque.client.when import When
from gresque.errors import GresqueError
from gresque.jobs.definition import JobDefinition
from gresque.jobs.envelope import RUN_AT
from gresque.jobs.hooks import call_hooks
from gresque.jobs.ids import JobId, new_id, new_ids
from gresque.jobs.middleware import Message, enqueue_chain, with_meta
from gresque.store.bulk import in_bulks
from gresque.store.later_job import Times
from gresque.store.track import tracked

Schedule = Callable[[str, Sequence[str], Sequence[bytes], Times], object]
"""Lets payloads of a queue wait under these ids until they are due, all of them or none."""

J = TypeVar("J")
MakeJob = Callable[[int, str, Sequence[Any], dict[str, Any], float], J | None]
"""Makes a job of a call: by its position in the bulk, the id of the job, its arguments, and the
seconds by which it is due later. None when a hook rejects it."""


class TimedJob(NamedTuple):
    """A job, and when it is due: a delay, or a time of the epoch."""

    job: NewJob
    milliseconds: int


def schedule(
    put: Schedule | None,
    queue: str,
    definition: JobDefinition,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    when: When,
) -> JobId | None:
    """Enqueue one job that is due at this time; returns its id, or None when a hook rejected it.
    Without `put` it runs here and now."""
    check_reach(definition, inline=put is None)
    found = _make(definition, queue, new_id(), args, kwargs, when)
    if found is None:
        return None
    put_delayed(put, queue, definition, [found], when)
    return JobId(found.job[0])


def schedule_bulks(
    put: Schedule | None,
    queue: str,
    definition: JobDefinition,
    calls: Iterable[Arguments],
    when: When,
    after: Iterator[float] | None = None,
) -> Iterator[list[JobId]]:
    """Enqueue a job for each call, as `enqueue_bulks`. `after` has the seconds by which each is due
    later than `when`."""
    check_reach(definition, inline=put is None)
    jobs = make_timed(
        calls,
        after,
        lambda _, job_id, args, kwargs, seconds: _make(
            definition, queue, job_id, args, kwargs, when, seconds
        ),
    )
    for bulk in in_bulks(jobs, lambda found: len(found.job[1]), most_at_once(definition)):
        put_delayed(put, queue, definition, bulk, when)
        yield [JobId(found.job[0]) for found in bulk]


def _make(
    definition: JobDefinition,
    queue: str,
    job_id: str,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    when: When,
    after: float = 0.0,
) -> TimedJob | None:
    """As `make_delayed`, within the enqueue middleware."""
    if not enqueue_chain.runs:
        return make_delayed(definition, job_id, args, kwargs, when, after)
    message = Message(job_id, definition.name, queue, args, kwargs, when.options(after))
    return enqueue_chain.run(
        message,
        lambda: make_delayed(
            definition,
            job_id,
            message.args,
            message.kwargs,
            when,
            after,
            with_meta(definition.name, definition.envelope, message.meta),
        ),
    )


def make_delayed(
    definition: JobDefinition,
    job_id: str,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    when: When,
    after: float = 0.0,
    envelope: dict[str, Any] | None = None,
) -> TimedJob | None:
    """Make a job; None when a hook rejects it. `envelope` replaces that of the declaration."""
    hooks = definition.hooks
    if hooks.before_schedule and not allowed(hooks.before_schedule, args, kwargs):
        return None
    run_at = when.run_at(after)
    expires = definition.expires_seconds
    expires_at = None if expires is None else round(run_at + expires, 3)
    envelope = {**(envelope or definition.envelope or {}), RUN_AT: run_at}
    job = make_job(definition, job_id, args, kwargs, envelope, expires_at)
    if job is None:
        return None
    call_hooks(hooks.before_delayed_enqueue, job[2], job[3])
    return TimedJob(job, when.milliseconds(after))


def make_timed(
    calls: Iterable[Arguments],
    after: Iterator[float] | None,
    make: MakeJob[J],
    on_wrong: Callable[[GresqueError], None] | None = None,
) -> Iterator[J]:
    """The jobs that `make` makes of these calls, but for those that hooks reject. `after` and
    `on_wrong` are as in `schedule_bulks` and `enqueue_bulks`."""
    each = zip(count(), calls, after or repeat(0.0), new_ids(), strict=False)
    for position, (args, kwargs), seconds, job_id in each:
        try:
            job = make(position, job_id, args, kwargs, seconds)
        except GresqueError as error:
            end_bulk(error, position, on_wrong)
            return
        if job is not None:
            yield job


def put_delayed(
    put: Schedule | None,
    queue: str,
    definition: JobDefinition,
    bulk: Sequence[TimedJob],
    when: When,
) -> None:
    raws = [found.job[1] for found in bulk]
    if put is None:
        run_or_push(None, queue, definition, raws)
    else:
        times = Times(when.is_delay, [found.milliseconds for found in bulk])
        ids = [found.job[0] for found in bulk]
        put(queue, ids, tracked(raws, track_of(definition, ids)), times)
    for (_, _, args, kwargs), _ in bulk:
        call_hooks(definition.hooks.after_schedule, args, kwargs)
        call_hooks(definition.hooks.after_enqueue, args, kwargs)
