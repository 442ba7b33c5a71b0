"""The one way in: every job that a program makes enters its queue here.

1. The enqueue middleware is called, if there is any; it may change the arguments and add `meta`.
2. Its payload is written, with an id and what its declaration says of it.
   Arguments of types that JSON lacks are written as their annotations say.
3. Its `before_enqueue` hooks may reject it.
4. It is pushed; a client with `inline=True` runs it instead. `client/schedule.py` lets it wait for
   its time first.
5. Its `after_enqueue` hooks are called.

Recovery, effects and a retry by hand move jobs that exist already. They do not come here, and no
hooks and no enqueue middleware run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import count
from typing import Any

from gresque.errors import EnqueueError, GresqueError, JobDeclarationError
from gresque.jobs.definition import JobDefinition, expiry
from gresque.jobs.hooks import call_hook, call_hooks
from gresque.jobs.ids import JobId, new_id, new_ids
from gresque.jobs.middleware import Message, enqueue_chain, with_meta
from gresque.jobs.payload import encode
from gresque.jobs.perform import perform_here
from gresque.jobs.registry import registry
from gresque.store.bulk import BULK_JOBS, in_bulks
from gresque.store.track import MOST_TRACKED, Track, tracked
from gresque.text import is_utf8

Push = Callable[[str, list[bytes]], object]
"""Puts payloads into a queue, all of them or none."""

Arguments = tuple[Sequence[Any], dict[str, Any]]
"""The positional and the keyword arguments of a job."""

NewJob = tuple[str, bytes, Sequence[Any], dict[str, Any]]
"""Id, payload, arguments. A plain tuple: a bulk makes many."""


def enqueue(
    push: Push | None,
    queue: str,
    definition: JobDefinition,
    args: Sequence[Any],
    kwargs: dict[str, Any],
) -> JobId | None:
    """Enqueue one job; returns its id, or None when a hook rejected it. Without `push` it runs here
    and now."""
    check_reach(definition, inline=push is None)
    expires_at = None if definition.expires_seconds is None else expiry(definition)
    if enqueue_chain.runs:
        job = make_within(definition, queue, new_id(), args, kwargs, expires_at)
    else:
        job = make_job(definition, new_id(), args, kwargs, definition.envelope, expires_at)
    if job is None:
        return None
    raws = [job[1]]
    if definition.result_ttl_seconds:
        raws = tracked(raws, track_of(definition, [job[0]]))
    run_or_push(push, queue, definition, raws)
    after = definition.hooks.after_enqueue
    if after:
        call_hooks(after, job[2], job[3])
    return JobId(job[0])


def enqueue_bulks(
    push: Push | None,
    queue: str,
    definition: JobDefinition,
    calls: Iterable[Arguments],
    on_wrong: Callable[[GresqueError], None] | None = None,
) -> Iterator[list[JobId]]:
    """Enqueue a job for each call, 1,000 or 16 MB at a time; yields the ids of each bulk once it is
    pushed.

    A call whose arguments cannot be sent raises, and the jobs of its bulk are not enqueued. With
    `on_wrong` the calls end there instead, and those before it are enqueued.
    """
    check_reach(definition, inline=push is None)
    jobs = _make_all(definition, queue, calls, on_wrong)
    for bulk in in_bulks(jobs, lambda job: len(job[1]), most_at_once(definition)):
        track = track_of(definition, [job[0] for job in bulk])
        run_or_push(push, queue, definition, tracked([job[1] for job in bulk], track))
        after = definition.hooks.after_enqueue
        if after:
            for _, _, args, kwargs in bulk:
                call_hooks(after, args, kwargs)
        yield [JobId(job[0]) for job in bulk]


def make_job(
    definition: JobDefinition,
    job_id: str,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    envelope: dict[str, Any] | None,
    expires_at: float | None,
) -> NewJob | None:
    """A job that its hooks do not reject."""
    if definition.typed_args is None:
        raw = encode(definition.name, args, kwargs, job_id, 1, envelope, expires_at)
    else:
        wire = definition.typed_args.write(args, kwargs)
        args, kwargs = wire.typed_args, wire.typed_kwargs  # as its hooks get them
        raw = encode(definition.name, wire.args, wire.kwargs, job_id, 1, envelope, expires_at)
    check_call = definition.check_call
    # A form that fits is looked up in place: a call costs as much as all the rest of the check.
    if check_call is not None and (kwargs or len(args) not in check_call.fitting):
        check_call(args, kwargs)
    before = definition.hooks.before_enqueue
    if before and not allowed(before, args, kwargs):
        return None
    return job_id, raw, args, kwargs


def make_within(
    definition: JobDefinition,
    queue: str,
    job_id: str,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    expires_at: float | None,
) -> NewJob | None:
    """As `make_job`, within the enqueue middleware."""
    message = Message(job_id, definition.name, queue, args, kwargs, {})
    return enqueue_chain.run(
        message,
        lambda: make_job(
            definition,
            job_id,
            message.args,
            message.kwargs,
            with_meta(definition.name, definition.envelope, message.meta),
            expires_at,
        ),
    )


def _make_all(
    definition: JobDefinition,
    queue: str,
    calls: Iterable[Arguments],
    on_wrong: Callable[[GresqueError], None] | None,
) -> Iterator[NewJob]:
    surrounded = enqueue_chain.runs
    # In this order: the id of a job has the time at which its call came.
    for position, (args, kwargs), job_id in zip(count(), calls, new_ids(), strict=False):
        try:
            expires_at = None if definition.expires_seconds is None else expiry(definition)
            if surrounded:
                job = make_within(definition, queue, job_id, args, kwargs, expires_at)
            else:
                job = make_job(definition, job_id, args, kwargs, definition.envelope, expires_at)
        except GresqueError as error:
            end_bulk(error, position, on_wrong)
            return
        if job is not None:
            yield job


def end_bulk(
    error: GresqueError, position: int, on_wrong: Callable[[GresqueError], None] | None
) -> None:
    """A call that cannot be sent ends its bulk: raise the error with the position of the call, or
    give it to `on_wrong`."""
    if on_wrong is None:
        raise type(error)(f"job {position} of the bulk: {error}") from None
    on_wrong(error)


def run_or_push(
    push: Push | None, queue: str, definition: JobDefinition, raws: list[bytes]
) -> None:
    if push is not None:
        push(queue, raws)
    else:
        for raw in raws:
            perform_here(definition, queue, raw)


def track_of(definition: JobDefinition, ids: Sequence[str]) -> Track | None:
    """What is to be noted of new jobs with these ids; None where they are not tracked."""
    ttl = definition.result_ttl_seconds
    return Track(ids, definition.name, ttl * 1000) if ttl else None


def most_at_once(definition: JobDefinition, most: int = BULK_JOBS) -> int:
    """How many jobs go into one round trip, which takes `most` of those that are not tracked."""
    return min(most, MOST_TRACKED) if definition.result_ttl_seconds else most


def check_reach(definition: JobDefinition, *, inline: bool) -> None:
    if definition.nowhere and not inline:
        raise EnqueueError(
            f"job {definition.name} is declared where no worker can import it (a prompt, a "
            "notebook, -c, stdin); move it to a module, or give it the name= under which a "
            "worker knows it"
        )


def allowed(
    hooks: tuple[Callable[..., Any], ...], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> bool:
    """Resque's rule: a before hook that returns False rejects; None does not."""
    return all(call_hook(hook, args, kwargs) is not False for hook in hooks)


# The job and the queue that the caller names


def definition_of(job: Any, queue: str | None = None) -> JobDefinition:
    """The definition behind what a user passes as a job: a decorated function, a Job subclass, or
    a bare name. A name that is declared here is that job, hooks included; with a queue beside it
    any other is one of another program, such as a Ruby class."""
    definition = getattr(job, "definition", None)
    if isinstance(definition, JobDefinition):
        return definition
    if isinstance(job, str):
        declared = registry.find(job)
        if declared is not None:
            return declared
        if queue is not None:
            return _named(job, queue)
        raise EnqueueError(
            f"no job named {job!r} is declared here{registry.suggest(job)}, so its queue is not "
            f"known; for a job of another program use enqueue_to(queue, {job!r})"
        )
    raise EnqueueError(
        f"{job!r} is not a job; declare it with @gresque.job(queue=...) or as a gresque.Job"
    )


@lru_cache(maxsize=1000)
def _named(name: str, queue: str) -> JobDefinition:
    """Made once for each: looking for hooks costs a quarter of an enqueue."""
    return JobDefinition(name=name, queue=queue, function=_elsewhere(name))


def _elsewhere(name: str) -> Callable[..., Any]:
    def perform(*args: Any, **kwargs: Any) -> None:
        raise JobDeclarationError(f"{name} is declared in another program; it cannot run here")

    return perform


def queue_of(definition: JobDefinition) -> str:
    """The queue that the job declares. Raises EnqueueError when it declares none."""
    if definition.queue is None:
        raise EnqueueError(
            f"job {definition.name} has no queue; declare one, or use enqueue_to(queue, job)"
        )
    return definition.queue


def checked_queue(queue: str) -> str:
    """A queue that a job may be pushed to. Raises EnqueueError."""
    if not isinstance(queue, str) or not queue or not is_utf8(queue):
        raise EnqueueError(f"{queue!r} is not the name of a queue; give one such as 'mail'")
    return queue
