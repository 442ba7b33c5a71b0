"""Removing failed jobs, and queues."""

from __future__ import annotations

import logging
from collections.abc import Collection

from gresque.control.audit import acting
from gresque.control.retry import named, outcome
from gresque.failure.backend import RedisBackend
from gresque.failure.failed_list import FailedJob
from gresque.failure.progress import SILENT, Progress
from gresque.failure.search import Wanted
from gresque.logs import fields

log = logging.getLogger("gresque.control")


def remove_failed(backend: RedisBackend, jobs: Collection[FailedJob], *, by: str) -> int:
    """Remove these; returns how many were still in their place."""
    with acting(backend.store, by, "failed remove", named(jobs)) as act:
        act.count = backend.remove(jobs)
        act.outcome = outcome(act.count, len(jobs))
    return _logged(by, act.count)


def remove_all_failed(
    backend: RedisBackend, wanted: Wanted, progress: Progress = SILENT, *, by: str
) -> int:
    """Remove all that are wanted, retried or not; returns how many."""
    with acting(backend.store, by, "failed remove", str(wanted)) as act:
        act.count = backend.remove_all(wanted, progress)
    return _logged(by, act.count)


def clear_retried(backend: RedisBackend, progress: Progress = SILENT, *, by: str) -> int:
    """Remove those that were retried; returns how many."""
    with acting(backend.store, by, "failed clear", "failed jobs that were retried") as act:
        act.count = backend.clear(progress)
    return _logged(by, act.count)


def remove_oldest_failed(backend: RedisBackend, counts: dict[str, int], *, by: str) -> int:
    """Remove the given number of the oldest entries of each list; returns how many there were."""
    with acting(backend.store, by, "failed clear", "the oldest failed jobs") as act:
        act.count = backend.remove_oldest(counts)
    return _logged(by, act.count)


def _logged(by: str, count: int) -> int:
    log.info(
        "%s removed %d failed jobs", by, count, extra=fields("failed_removed", by=by, count=count)
    )
    return count
