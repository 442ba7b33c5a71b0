"""The limit of a worker process's memory: above it the process is replaced."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import psutil

log = logging.getLogger("gresque.worker")

MB = 1_000_000
YOUNG_SECONDS = 10.0


class MemoryLimit:
    """Retires a worker process whose resident memory is above MAX_RSS_MB.

    A native thread looks once a second, so that a job that blocks the loop does not hide what it
    takes. A process that is above the limit before its first job is kept: its successors would be
    too, and nothing but forking would ever happen.
    """

    def __init__(self, max_rss_mb: int, retire: Callable[[], None]) -> None:
        """`retire()` is called in the thread that looks."""
        self._process = psutil.Process()
        self._max_rss_mb = max_rss_mb
        self._retire = retire
        self._started = time.monotonic()
        self._mb_at_start = self._resident_mb()
        self._told = False

    def look(self) -> None:
        resident_mb = self._resident_mb()
        if self._told or resident_mb <= self._max_rss_mb:
            return
        self._told = True
        if self._mb_at_start > self._max_rss_mb:
            log.error(
                "MAX_RSS_MB=%d is not heeded: this process had %.0f MB before its first job; "
                "give more",
                self._max_rss_mb,
                self._mb_at_start,
            )
            return
        age = time.monotonic() - self._started
        log.warning(
            "%.0f MB of resident memory after %.0f s, above MAX_RSS_MB=%d: "
            "this process takes no more jobs and is replaced%s",
            resident_mb,
            age,
            self._max_rss_mb,
            "; so soon, the limit may be too low for these jobs" if age < YOUNG_SECONDS else "",
        )
        self._retire()

    def _resident_mb(self) -> float:
        return float(self._process.memory_info().rss) / MB
