"""Enqueueing unique jobs: a job is made as `enqueue` makes it, and takes the lock of its key.

Where the lock is held, the job is not enqueued, and its caller gets the id of the job that does the
work. The `after_` hooks are called for enqueued jobs only, not for a job that replaces the
arguments of another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import gresque.clock as clock
from gresque.client.enqueue import (
    Arguments,
    NewJob,
    check_reach,
    make_job,
    most_at_once,
    run_or_push,
    track_of,
)
from gresque.client.schedule import make_delayed, make_timed
from gresque.client.spread import Spread
from gresque.client.when import NOW, When
from gresque.errors import DuplicateJob, EnqueueError, GresqueError
from gresque.jobs.definition import JobDefinition, expiry
from gresque.jobs.envelope import RUN_AT
from gresque.jobs.hooks import call_hooks
from gresque.jobs.ids import DuplicateId, JobId, new_id
from gresque.jobs.middleware import Message, enqueue_chain, with_meta
from gresque.jobs.unique import UNIQUE, Key, UniqueRule, key_of
from gresque.store.bulk import BULK_JOBS, in_bulks
from gresque.store.later_job import Times
from gresque.store.track import tracked
from gresque.store.unique_job import MOST_JOBS, Terms, UniqueJob
from gresque.text import printable

if TYPE_CHECKING:
    from gresque.store.store import Store


class _KeyedJob(NamedTuple):
    """A job with its key. `position` is that of its call in a bulk, None for a single one."""

    job: NewJob
    milliseconds: int
    key: Key
    position: int | None


def enqueue_unique(
    store: Store | Spread | None,
    queue: str,
    definition: JobDefinition,
    rule: UniqueRule,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    when: When | None,
) -> JobId | None:
    """Enqueue one job by this rule; returns the id of the job that does the work, or None when a
    hook rejected it. Without a store it runs here and now."""
    check_reach(definition, inline=store is None)
    when = _due(definition, rule, when)
    found = _make(definition, queue, rule, new_id(), args, kwargs, when)
    return None if found is None else _put(store, queue, definition, rule, [found], when)[0]


def unique_bulks(
    store: Store | Spread | None,
    queue: str,
    definition: JobDefinition,
    rule: UniqueRule,
    calls: Iterable[Arguments],
    when: When | None,
    after: Iterator[float] | None = None,
    on_wrong: Callable[[GresqueError], None] | None = None,
) -> Iterator[list[JobId]]:
    """Enqueue a job for each call by this rule, as `enqueue_bulks`; yields the ids of each bulk.
    `after` has the seconds by which each is due later than `when`."""
    check_reach(definition, inline=store is None)
    when = _due(definition, rule, when)
    jobs = make_timed(
        calls,
        after,
        lambda position, job_id, args, kwargs, seconds: _make(
            definition, queue, rule, job_id, args, kwargs, when, seconds, position
        ),
        on_wrong,
    )
    most = most_at_once(definition, MOST_JOBS if rule.locks else BULK_JOBS)
    if rule.on_duplicate == "raise" and isinstance(store, Spread):
        most = 1  # the jobs of a bulk go to several shards, and one of them may have a duplicate
    for bulk in in_bulks(jobs, lambda found: len(found.job[1]), most):
        yield _put(store, queue, definition, rule, bulk, when)


def _due(definition: JobDefinition, rule: UniqueRule, when: When | None) -> When | None:
    if not (rule.debounce_ms or rule.throttle_ms):
        return when
    if when is not None:
        what = "debounced" if rule.debounce_ms else "throttled"
        raise EnqueueError(
            f"job {definition.name} is {what}, which sets its time; leave out the time"
        )
    return When(True, rule.debounce_ms / 1000) if rule.debounce_ms else None


def _make(
    definition: JobDefinition,
    queue: str,
    rule: UniqueRule,
    job_id: str,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    when: When | None,
    after: float = 0.0,
    position: int | None = None,
) -> _KeyedJob | None:
    """A job with its key, made within the enqueue middleware; None when that or a hook rejects
    it."""
    if not enqueue_chain.runs:
        return _make_keyed(definition, rule, job_id, args, kwargs, when, after, position)
    options = {"unique": rule.mode} | ({} if when is None else when.options(after))
    message = Message(job_id, definition.name, queue, args, kwargs, options)
    return enqueue_chain.run(
        message,
        lambda: _make_keyed(
            definition,
            rule,
            job_id,
            message.args,
            message.kwargs,
            when,
            after,
            position,
            with_meta(definition.name, None, message.meta),
        ),
    )


def _make_keyed(
    definition: JobDefinition,
    rule: UniqueRule,
    job_id: str,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    when: When | None,
    after: float,
    position: int | None,
    more: dict[str, Any] | None = None,
) -> _KeyedJob | None:
    """`more` is what else stands in the envelope."""
    if definition.check_call is not None:
        definition.check_call(args, kwargs)  # before `unique_key` gets these arguments
    key = key_of(rule, definition, args, kwargs)
    envelope = {**(definition.envelope or {}), **(more or {})}
    mark = rule.mark(key.digest)
    if mark is not None:
        envelope[UNIQUE] = mark
    if when is not None:
        found = make_delayed(definition, job_id, args, kwargs, when, after, envelope)
        return None if found is None else _KeyedJob(*found, key, position)
    if rule.replaces or rule.trailing:
        envelope[RUN_AT] = round(clock.now(), 3)  # the script changes it when it puts the job off
    expires_at = None if definition.expires_seconds is None else expiry(definition)
    job = make_job(definition, job_id, args, kwargs, envelope, expires_at)
    return None if job is None else _KeyedJob(job, 0, key, position)


def _put(
    store: Store | Spread | None,
    queue: str,
    definition: JobDefinition,
    rule: UniqueRule,
    bulk: Sequence[_KeyedJob],
    when: When | None,
) -> list[JobId]:
    ids = [found.job[0] for found in bulk]
    track = track_of(definition, ids)
    raws = tracked([found.job[1] for found in bulk], track)
    holders: list[str | None] = [None] * len(bulk)
    if store is None or not (rule.locks or when):
        run_or_push(None if store is None else store.enqueuer.push, queue, definition, raws)
    elif not rule.locks:
        assert when is not None
        times = Times(when.is_delay, [found.milliseconds for found in bulk])
        store.scheduler.schedule(queue, ids, raws, times)
    else:
        holders = store.unique_enqueuer.enqueue(
            queue,
            _terms(definition, rule, when or NOW),
            [UniqueJob(job[0], ms, key.text, key.digest, job[1]) for job, ms, key, _ in bulk],
            track,
        )
        if rule.on_duplicate == "raise":
            _refuse_duplicates(definition, bulk, holders)
    hooks = definition.hooks
    for ((_, _, args, kwargs), *_), holder in zip(bulk, holders, strict=True):
        if holder is None:
            if when is not None:
                call_hooks(hooks.after_schedule, args, kwargs)
            call_hooks(hooks.after_enqueue, args, kwargs)
    return [
        JobId(found.job[0]) if holder is None else DuplicateId(holder)
        for found, holder in zip(bulk, holders, strict=True)
    ]


def _terms(definition: JobDefinition, rule: UniqueRule, when: When) -> Terms:
    if rule.debounce_ms:
        kind, period_ms, most = "debounce", rule.debounce_ms, rule.max_wait_ms
    elif rule.throttle_ms:
        kind, period_ms, most = "throttle", rule.throttle_ms, int(rule.trailing)
    else:
        kind, period_ms, most = "in" if when.is_delay else "at", 0, 0
    name, on_duplicate = definition.name, rule.on_duplicate
    return Terms(kind, rule.mode, on_duplicate, name, rule.ttl_ms, period_ms, most)


def _refuse_duplicates(
    definition: JobDefinition, bulk: Sequence[_KeyedJob], holders: Sequence[str | None]
) -> None:
    for found, holder in zip(bulk, holders, strict=True):
        if holder is None:
            continue
        place = "" if found.position is None else f"job {found.position} of the bulk: "
        error = DuplicateJob(
            f"{place}job {definition.name} is not enqueued: {holder} has the same key, "
            f"{printable(found.key.text)}"
        )
        error.job_id = holder
        raise error
