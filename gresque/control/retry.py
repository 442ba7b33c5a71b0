"""Putting failed jobs back into their queues."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from gresque.failure.backend import RedisBackend, Retries
from gresque.failure.failed_list import FailedJob
from gresque.failure.progress import SILENT, Progress
from gresque.failure.search import EVERYTHING, Wanted
from gresque.logs import fields

log = logging.getLogger("gresque.control")


def retry_failed(backend: RedisBackend, jobs: Sequence[FailedJob], *, by: str) -> list[bool]:
    """Retry these; see `RedisBackend.retry`."""
    done = backend.retry(jobs)
    _log(by, sum(done))
    return done


def retry_all_failed(
    backend: RedisBackend, wanted: Wanted = EVERYTHING, progress: Progress = SILENT, *, by: str
) -> Retries:
    """Retry all that are wanted and were not retried before; see `RedisBackend.retry_all`."""
    done = backend.retry_all(wanted, progress)
    _log(by, done.retried)
    return done


def _log(by: str, count: int) -> None:
    log.info(
        "%s retried %d failed jobs", by, count, extra=fields("failed_retried", by=by, count=count)
    )
