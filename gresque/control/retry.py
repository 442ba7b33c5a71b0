"""Putting failed jobs back into their queues."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Sequence
from typing import Any

from gresque.clock import retried_at
from gresque.control.audit import acting, some
from gresque.failure.backend import RedisBackend, Retries
from gresque.failure.failed_list import FailedJob
from gresque.failure.progress import SILENT, Progress
from gresque.failure.retry import prepare_edited
from gresque.failure.search import EVERYTHING, Wanted
from gresque.logs import fields

log = logging.getLogger("gresque.control")


def retry_failed(backend: RedisBackend, jobs: Sequence[FailedJob], *, by: str) -> list[bool]:
    """Retry these; see `RedisBackend.retry`."""
    with acting(backend.store, by, "failed retry", named(jobs)) as act:
        done = backend.retry(jobs)
        act.count = sum(done)
        act.outcome = outcome(act.count, len(jobs))
    _log(by, sum(done))
    return done


def retry_edited(
    backend: RedisBackend,
    job: FailedJob,
    queue: str,
    job_class: str,
    args: list[Any],
    kwargs: dict[str, Any],
    *,
    by: str,
) -> bool:
    """Retry a failed job as a new one with this queue, class and arguments; False when its entry is
    not in its place any more. Raises InvalidPayload."""
    retry = prepare_edited(job.raw, retried_at(time.time()), queue, job_class, args, kwargs)
    with acting(backend.store, by, "failed retry edited", named([job])) as act:
        done = act.changed(backend.retry_as(job, retry), outcome(0, 1))
    _log(by, int(done))
    return done


def retry_all_failed(
    backend: RedisBackend, wanted: Wanted = EVERYTHING, progress: Progress = SILENT, *, by: str
) -> Retries:
    """Retry all that are wanted and were not retried before; see `RedisBackend.retry_all`."""
    with acting(backend.store, by, "failed retry", str(wanted)) as act:
        done = backend.retry_all(wanted, progress)
        act.count = done.retried
        if done.refused:
            act.outcome = f"{done.refused:,} could not be retried"
    _log(by, done.retried)
    return done


def _log(by: str, count: int) -> None:
    log.info(
        "%s retried %d failed jobs", by, count, extra=fields("failed_retried", by=by, count=count)
    )


def named(jobs: Collection[FailedJob]) -> str:
    """The failed jobs that are meant, for the audit log."""
    return some([f"failed job {job.job_id or job.place} {job.item.get('class')}" for job in jobs])


def outcome(done: int, wanted: int) -> str:
    """Of entries that are named each: another command may have moved some meanwhile."""
    return "done" if done == wanted else f"{wanted - done:,} were not in their place any more"
