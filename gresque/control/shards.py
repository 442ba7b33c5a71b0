"""Moving what waits on a shard, and what failed, to the others."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from gresque.client.spread import Spread
from gresque.control.flow import pause, unpause
from gresque.control.move_failed import move_failed
from gresque.store.bulk import in_bulks
from gresque.store.later_job import Times
from gresque.store.store import Store

AT_ONCE = 500
SOON_SECONDS = 5.0
LOOK_SECONDS = 0.2


class Moved(NamedTuple):
    """How many jobs were moved: those of queues, those that wait for their time, and those that
    failed. `paused` are the queues whose pause was there before, and stays."""

    waiting: int
    later: int
    failed: int
    paused: tuple[str, ...]


def move_all(source: Store, target: Spread, *, by: str) -> Moved:
    """Move the jobs that wait on a shard to others. A queue is paused on the shard meanwhile, so
    that no worker takes a job that is moved already; a pause that there was stays. Suspects are
    moved as waiting jobs, failed jobs as they are.

    Each job is written elsewhere before it is removed here: after a kill in between it is in both
    places, and runs, or stands among the failed ones, twice at worst. Called again, it goes on.
    For jobs that are due within seconds it waits. Raises RedisUnavailable, and SweepLockLost.
    """
    waiting, paused = _move_queues(source, target, by)
    later, became_due = _move_later(source, target)
    if became_due:
        waiting += _move_queues(source, target, by)[0]
    return Moved(waiting, later, sum(move_failed(source, target)), tuple(paused))


def _move_queues(source: Store, target: Spread, by: str) -> tuple[int, list[str]]:
    """How many were moved, and the queues that are paused by others."""
    moved, paused = 0, list[str]()
    for queue in sorted({*source.queues.names(), *source.suspects.queues()}):
        with _paused(source, queue, by) as is_ours:
            source.suspects.return_to_queue(queue)
            moved += sum(_move_queue(source, target, queue))
        if not is_ours:
            paused.append(queue)
    return moved, paused


@contextmanager
def _paused(store: Store, queue: str, by: str) -> Iterator[bool]:
    """Whether the pause is ours."""
    is_ours = pause(store, queue, by=by)
    try:
        yield is_ours
    finally:
        if is_ours:
            unpause(store, queue, by=by)


def _move_queue(source: Store, target: Spread, queue: str) -> Iterator[int]:
    while raws := source.queues.first(queue, AT_ONCE):
        for bulk in in_bulks(iter(raws), len):
            target.push(queue, [*bulk])
            yield source.queues.remove_first(queue, bulk)


def _move_later(source: Store, target: Spread) -> tuple[int, bool]:
    """How many were moved, and whether others have become due.

    A job whose time has come goes into its queue on the shard, and one that is due soon is left
    until then: maintenance might put it there in the very moment in which it is scheduled
    elsewhere, and it would run twice."""
    until = time.monotonic() + 2 * SOON_SECONDS
    moved, became_due = 0, False
    while True:
        now_moved, soon, due = _move_later_once(source, target)
        moved += now_moved
        became_due = became_due or bool(soon or due)
        if not now_moved:
            if not soon or time.monotonic() > until:
                return moved, became_due
            time.sleep(LOOK_SECONDS)


def _move_later_once(source: Store, target: Spread) -> tuple[int, int, int]:
    """How many were moved, some of those that may be; how many are due soon, and how many now."""
    ahead = source.now() - time.monotonic()
    moved = soon = due = 0
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
            due += 1
    return moved, soon, due
