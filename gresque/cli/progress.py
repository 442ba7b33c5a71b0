"""How far a long command has come, on stderr, and Ctrl-C that lets it end where nothing is half."""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType, TracebackType
from typing import Any

import click

from gresque.failure.progress import Progress

REFRESH_SECONDS = 0.1
QUIET_SECONDS = 1.0
"""A command that ends within this time shows no progress."""


class ProgressLine(Progress):
    """`gone through 120,000 of 1,000,000, 85,000/s`, on a terminal only.

    While it is entered, the first Ctrl-C lets the command end at the next step; a second one cuts
    it off.
    """

    def __init__(self, name: str) -> None:
        self.verb = name
        self._start = self._shown = time.monotonic()
        self._drawn = False
        self._said_it_waits = False
        self._stopped = False
        self._before: Any = None
        self.done = 0

    def __enter__(self) -> ProgressLine:
        self._start = self._shown = time.monotonic()
        self._before = signal.signal(signal.SIGINT, self._on_interrupt)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.signal(signal.SIGINT, self._before)
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._stopped:
            raise KeyboardInterrupt
        self._stopped = True

    @property
    def is_stopped(self) -> bool:
        """Ctrl-C was pressed."""
        return self._stopped

    def advanced(self, done: int, total: int) -> bool:
        self.done = done
        now = time.monotonic()
        if now - self._start >= QUIET_SECONDS and now - self._shown >= REFRESH_SECONDS:
            self._shown = now
            rate = done / (now - self._start)
            self._draw(f"{self.verb} {done:,} of {total:,}, {rate:,.0f}/s")
        return not self._stopped

    def waiting(self) -> bool:
        if not self._said_it_waits:
            self._said_it_waits = True
            click.echo("another command retries or removes failed jobs; waiting for it", err=True)
        self._start = time.monotonic()
        return not self._stopped

    def _draw(self, line: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{line}")
            sys.stderr.flush()
            self._drawn = True

    def complain_if_stopped(self) -> None:
        """Exit code 130 after Ctrl-C, once the command has printed its result so far."""
        if self._stopped:
            click.echo("stopped; the others are as they were", err=True)
            raise click.exceptions.Exit(130)
