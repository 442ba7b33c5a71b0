"""The limit of a worker process's memory: above it the process is replaced."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import psutil

from gresque.logs import fields

log = logging.getLogger("gresque.worker")

MB = 1_000_000
YOUNG_SECONDS = 10.0


class MemoryLimit:
    """Retires a worker process whose resident memory is above MAX_RSS_MB.

    A native thread checks once a second, so that a job that blocks the loop cannot hide the memory
    that it takes. A process that is above the limit before its first job is kept: its successors
    would be above it as well, and no job would ever run.
    """

    def __init__(self, max_rss_mb: int, retire: Callable[[], None]) -> None:
        """`retire()` is called in the thread that checks."""
        self._process = psutil.Process()
        self._max_rss_mb = max_rss_mb
        self._retire = retire
        self._started = time.monotonic()
        self._mb_at_start = self._resident_mb()
        self._reported = False

    def check(self) -> None:
        resident_mb = self._resident_mb()
        if self._reported or resident_mb <= self._max_rss_mb:
            return
        self._reported = True
        if self._mb_at_start > self._max_rss_mb:
            log.error(
                "MAX_RSS_MB=%d is ignored: this process had %.0f MB before its first job; set more",
                self._max_rss_mb,
                self._mb_at_start,
                extra=fields("memory_limit_ignored", resident_mb=round(self._mb_at_start)),
            )
            return
        age = time.monotonic() - self._started
        log.warning(
            "%.0f MB of resident memory after %.0f s, above MAX_RSS_MB=%d: "
            "this process takes no more jobs and is replaced%s",
            resident_mb,
            age,
            self._max_rss_mb,
            "; the limit may be too low for these jobs" if age < YOUNG_SECONDS else "",
            extra=fields("memory_limit_exceeded", resident_mb=round(resident_mb), seconds=age),
        )
        self._retire()

    def _resident_mb(self) -> float:
        return float(self._process.memory_info().rss) / MB
