"""Moving and removing jobs that wait, in steps: each is done whole or not at all, so that a command
that is cut off anywhere has lost and doubled none."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

from gresque.control.audit import Act, acting
from gresque.errors import GresqueError
from gresque.failure.progress import SILENT, Progress
from gresque.jobs.by_hand import note_removed, take_out
from gresque.logs import fields
from gresque.store.store import Store
from gresque.text import counted, is_utf8, printable

log = logging.getLogger("gresque.control")

AT_ONCE = 1000
"""A step takes the server about a millisecond."""


def move_jobs(
    store: Store, queue: str, target: str, count: int, progress: Progress = SILENT, *, by: str
) -> int:
    """Move the next `count` jobs of a queue to the end of another, suspects included, in their
    order; returns how many. Fewer when it has no more, or when `progress` ends it. Jobs that run
    are not moved. Raises GresqueError when the target is no other queue."""
    if not target or not is_utf8(target):
        raise GresqueError(
            f"{printable(target)!r} is not the name of a queue; give one like 'mail'"
        )
    if target == queue:
        raise GresqueError(
            f"jobs of queue {printable(queue)!r} are there already; name another one"
        )
    with acting(store, by, "queues move", f"queue {queue} to {target}") as act:
        moved = _in_steps(lambda most: store.queues.move(queue, target, most), count, progress, act)
    log.info(
        "%s moved %d jobs from queue %s to %s", by, moved, printable(queue), printable(target),
        extra=fields("jobs_moved", by=by, count=moved, queue=queue, target=target),
    )  # fmt: skip
    return moved


def clear_jobs(
    store: Store, queue: str, count: int, progress: Progress = SILENT, *, by: str
) -> int:
    """Remove the next `count` jobs of a queue for good, suspects included; returns how many. A
    queue that has no more is forgotten until its next job."""

    def clear(most: int) -> int:
        cleared = store.queues.clear(queue, most)
        note_removed(store, queue, cleared.marked)
        return cleared.removed

    with acting(store, by, "queues clear", f"queue {queue}") as act:
        removed = _in_steps(clear, count, progress, act)
    log.info(
        "%s removed %d jobs from queue %s", by, removed, printable(queue),
        extra=fields("jobs_removed", by=by, count=removed, queue=queue),
    )  # fmt: skip
    return removed


def remove_waiting(store: Store, queue: str, raws: Collection[bytes], *, by: str) -> int:
    """Remove every copy of these items from the queue for good, and release the locks of unique
    jobs; returns how many there were. Those that run by now are left alone."""
    with acting(store, by, "queues remove", f"{counted(len(raws), 'job')} of queue {queue}") as act:
        act.count = take_out(store, queue, raws)
        if not act.count:
            act.outcome = "they did not wait any more"
    log.info(
        "%s removed %d jobs from queue %s", by, act.count, printable(queue),
        extra=fields("jobs_removed", by=by, count=act.count, queue=queue),
    )  # fmt: skip
    return act.count


def _in_steps(step: Callable[[int], int], count: int, progress: Progress, act: Act) -> int:
    while act.count < count:
        most = min(AT_ONCE, count - act.count)
        found = step(most)
        act.count += found
        if not progress.advanced(act.count, count) or not found:
            break
    return act.count
