"""Moving what waits on a shard to the others."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from gresque.client.spread import Spread
from gresque.control.flow import pause, unpause
from gresque.store.bulk import in_bulks
from gresque.store.later_job import Times
from gresque.store.store import Store

AT_ONCE = 500
SOON_SECONDS = 5.0
LOOK_SECONDS = 0.2


class Moved(NamedTuple):
    """How many jobs were moved: those of queues, and those that wait for their time."""

    waiting: int
    later: int


def move_all(source: Store, target: Spread, *, by: str) -> Moved:
    """Move the jobs that wait on a shard to others. A queue is paused on the shard meanwhile, so
    that no worker takes a job that is moved already; a pause that there was stays.

    Each job is enqueued elsewhere before it is removed here: after a kill in between it is in
    both places, and runs twice at worst. Called again, it goes on. Suspects stay. For jobs that
    are due within seconds it waits. Raises RedisUnavailable.
    """
    later = sum(_move_later(source, target))
    waiting = 0
    for queue in source.queues.names():
        with _paused(source, queue, by):
            waiting += sum(_move_queue(source, target, queue))
    return Moved(waiting, later)


@contextmanager
def _paused(store: Store, queue: str, by: str) -> Iterator[None]:
    is_ours = pause(store, queue, by=by)
    try:
        yield
    finally:
        if is_ours:
            unpause(store, queue, by=by)


def _move_queue(source: Store, target: Spread, queue: str) -> Iterator[int]:
    while raws := source.queues.first(queue, AT_ONCE):
        for bulk in in_bulks(iter(raws), len):
            target.push(queue, [*bulk])
            yield source.queues.remove_first(queue, bulk)


def _move_later(source: Store, target: Spread) -> Iterator[int]:
    """A job whose time has come goes into its queue on the shard, and one that is due soon is left
    until then: maintenance might put it there in the very moment in which it is scheduled
    elsewhere, and it would run twice."""
    until = time.monotonic() + 2 * SOON_SECONDS
    while True:
        moved, soon = _move_later_once(source, target)
        yield moved
        if not moved:
            if not soon or time.monotonic() > until:
                return
            time.sleep(LOOK_SECONDS)


def _move_later_once(source: Store, target: Spread) -> tuple[int, int]:
    """How many were moved, some of those that may be; and how many are due soon."""
    ahead = source.now() - time.monotonic()
    moved = soon = 0
    for job in source.later.each():
        left = job.due_ms / 1000 - ahead - time.monotonic()
        if left > SOON_SECONDS:
            target.schedule(job.queue, [job.member], [job.raw], Times(False, [job.due_ms]))
            source.later.cancel(job.member)
            moved += 1
        elif left > 0:
            soon += 1
        else:
            source.later.run_now(job, job.raw)
    return moved, soon
