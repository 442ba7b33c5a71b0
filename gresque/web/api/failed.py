"""Failed jobs in the API: their entries, their groups, and what is done with entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from flask import abort
from msgspec import Meta

from gresque.control.remove import remove_failed
from gresque.control.retry import retry_failed
from gresque.failure.failed_list import FailedJob
from gresque.inspector import filters
from gresque.inspector.failed_groups import FailedGroup
from gresque.inspector.filters import OF_FAILED, TEXT, WantedFailed
from gresque.text import counted
from gresque.web.actions import by
from gresque.web.api import shapes
from gresque.web.failures import reference
from gresque.web.site import site

MOST_CHARS, MOST_FRAMES = 10_000, 200
"""Of an error and of its backtrace."""
WAIT_SECONDS = 0.5
"""The groups may be counted for this long before the answer."""

References = Annotated[
    list[str], Meta(min_length=1, max_length=1000, description="The `reference` of each entry.")
]


class OfFailed(shapes.Asked, frozen=True):
    references: References


def failed(query: shapes.Page) -> shapes.FailedPage:
    """Failed jobs, the newest first."""
    backend = site().failures.backend
    found = backend.newest(query.offset, query.count)
    return shapes.FailedPage([*map(shown, found)], backend.count())


def groups(query: shapes.OfFilter) -> shapes.FailedGroups:
    """Failed jobs in groups by class, exception, queue and place, the largest first.

    The filter takes class, queue and exception. A dashboard that has just been started counts the
    newest ones first: the groups are those of the `counted` newest of all `total` entries.
    """
    wanted = filters.parse(query.filter, OF_FAILED)
    if wanted != wanted.minus(TEXT).minus(filters.ID):
        abort(422, "groups have no texts and no ids; give class:, queue: or exception:")
    index = site().failures.index
    progress = index.wait(WAIT_SECONDS)
    if progress.is_away:
        # The error of Redis, not the groups of an hour ago.
        site().store.redis.ping()
    found = index.groups(WantedFailed(filter=wanted))
    return shapes.FailedGroups([*map(_group, found)], progress.read, progress.total)


def retry(body: OfFailed) -> shapes.Done:
    """Put failed jobs back into their queues; their entries stay, marked as retried.

    An entry that is not there any more is left alone.
    """
    jobs = _named(body.references)
    done = sum(retry_failed(site().failures.backend, jobs, by=by()))
    return shapes.Done(done, f"{done:,} of {counted(len(body.references), 'failed job')} retried")


def remove(body: OfFailed) -> shapes.Done:
    """Remove entries of failed jobs for good."""
    jobs = _named(body.references)
    done = remove_failed(site().failures.backend, jobs, by=by())
    return shapes.Done(done, f"{done:,} of {counted(len(body.references), 'failed job')} removed")


def _named(references: Sequence[str]) -> list[FailedJob]:
    found = [site().failures.find(each) for each in dict.fromkeys(references)]
    jobs = [job for job in found if job is not None]
    if not jobs:
        abort(404, "none of these failed jobs is in its place")
    return jobs


def shown(job: FailedJob) -> shapes.Failed:
    name = job.item.get("class")
    return shapes.Failed(
        place=job.place,
        reference=reference(job),
        id=job.job_id,
        job_class=name if isinstance(name, str) else None,
        args=shown_args(job.item),
        queue=job.text("queue"),
        exception=job.text("exception"),
        error=job.text("error")[:MOST_CHARS],
        failed_at=job.shown_time,
        retried=job.retried,
        worker=job.text("worker"),
        backtrace=job.backtrace[:MOST_FRAMES],
    )


def shown_args(item: dict[str, Any]) -> Any:
    """The arguments in a payload; the whole item where it is none."""
    return item.get("args", item.get("raw"))


def _group(group: FailedGroup) -> shapes.FailedGroupRow:
    return shapes.FailedGroupRow(
        job_class=group.key.job_class,
        exception=group.key.exception,
        queue=group.key.queue,
        frame=group.key.frame,
        error=group.error,
        count=group.count,
        retried=group.retried,
        first=group.first or None,
        last=group.last or None,
        is_rest=group.is_rest,
    )
