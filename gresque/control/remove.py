"""Removing failed jobs, and queues."""

from __future__ import annotations

import logging
from collections.abc import Collection

from gresque.failure.backend import RedisBackend
from gresque.failure.failed_list import FailedJob
from gresque.failure.progress import SILENT, Progress
from gresque.failure.search import Wanted
from gresque.logs import fields

log = logging.getLogger("gresque.control")


def remove_failed(backend: RedisBackend, jobs: Collection[FailedJob], *, by: str) -> int:
    """Remove these; returns how many were still in their place."""
    return _logged(by, backend.remove(jobs))


def remove_all_failed(
    backend: RedisBackend, wanted: Wanted, progress: Progress = SILENT, *, by: str
) -> int:
    """Remove all that are wanted, retried or not; returns how many."""
    return _logged(by, backend.remove_all(wanted, progress))


def clear_retried(backend: RedisBackend, progress: Progress = SILENT, *, by: str) -> int:
    """Remove those that were retried; returns how many."""
    return _logged(by, backend.clear(progress))


def remove_oldest_failed(backend: RedisBackend, counts: dict[str, int], *, by: str) -> int:
    """Remove the given number of the oldest entries of each list; returns how many there were."""
    return _logged(by, backend.remove_oldest(counts))


def _logged(by: str, count: int) -> int:
    log.info(
        "%s removed %d failed jobs", by, count, extra=fields("failed_removed", by=by, count=count)
    )
    return count
