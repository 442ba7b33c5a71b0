"""Moving what waits on a shard to the others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from gresque.client.spread import Spread
from gresque.control.flow import pause, unpause
from gresque.store.bulk import in_bulks
from gresque.store.later_job import Times
from gresque.store.store import Store

AT_ONCE = 500


class Moved(NamedTuple):
    """How many jobs were moved: those of queues, and those that wait for their time."""

    waiting: int
    later: int


def move_all(source: Store, target: Spread, *, by: str) -> Moved:
    """Move the jobs that wait on a shard to others. A queue is paused on the shard meanwhile, so
    that no worker takes a job that is moved already; a pause that there was stays.

    Each job is enqueued elsewhere before it is removed here: after a kill in between it is in
    both places, and runs twice at worst. Called again, it goes on. Suspects stay. Raises
    RedisUnavailable.
    """
    waiting = 0
    for queue in source.queues.names():
        with _paused(source, queue, by):
            waiting += sum(_move_queue(source, target, queue))
    return Moved(waiting, sum(_move_later(source, target)))


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
    while jobs := source.later.page(0, AT_ONCE):
        for job in jobs:
            target.schedule(job.queue, [job.member], [job.raw], Times(False, [job.due_ms]))
            source.later.cancel(job.member)
        yield len(jobs)
