"""The master's standard output and error: written to the end, and dropped without a reader."""

from __future__ import annotations

import logging
import time

import gresque.stdio as stdio
from gresque.logs import fields

log = logging.getLogger("gresque.master")

CHECK_READERS_SECONDS = 1.0
"""With a fork for each job the master's loop turns hundreds of times a second."""


class OutputMonitor:
    """Writes out what waits, and notices when the reader of a stream is gone."""

    def __init__(self) -> None:
        self._check_readers_at = 0.0

    def check(self) -> None:
        stdio.drain()
        now = time.monotonic()
        if now < self._check_readers_at:
            return
        self._check_readers_at = now + CHECK_READERS_SECONDS
        for name in stdio.forget_gone_readers():
            log.warning(
                "the reader of %s is gone: its output is dropped",
                name,
                extra=fields("reader_gone", stream=name),
            )
