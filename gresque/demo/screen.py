"""The output of the demo: what happened when, and on a terminal one line of how it goes."""

from __future__ import annotations

import shutil
import sys
import time

STATUS_SECONDS = 0.2


class Screen:
    """Writes to stdout. Without a terminal there are lines of events only."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._terminal = sys.stdout.isatty()
        self._next_status = 0.0
        self._has_status = False

    def start_clock(self) -> None:
        """From now on the times of events count."""
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def say(self, *lines: str) -> None:
        self._clear()
        for line in lines:
            print(line, flush=True)

    def event(self, text: str, *more: str) -> None:
        """What happened just now; `more` are lines about it."""
        self.say(f"{self.seconds:5.1f} s  {text}", *(f"         {line}" for line in more))

    def status(self, text: str) -> None:
        now = time.monotonic()
        if self._terminal and now >= self._next_status:
            self._next_status = now + STATUS_SECONDS
            width = shutil.get_terminal_size().columns - 1
            line = f"{self.seconds:5.1f} s  {text}"[:width]
            print(f"\r{line}\033[K", end="", flush=True)
            self._has_status = True

    def _clear(self) -> None:
        if self._has_status:
            print("\r\033[K", end="")
            self._has_status = False
