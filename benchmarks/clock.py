"""A server whose clock can be set: by Debian's `faketime`, where it is installed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)


class SetClock:
    """The wall clock of the processes with `env`; their monotonic clock is the machine's."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.env = {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(path),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
        self.set(0)

    def set(self, seconds: float) -> None:
        """Let it be ahead of the machine's by this much."""
        temporary = self._path.with_suffix(".new")
        temporary.write_text(f"{seconds:+f}\n")
        temporary.rename(self._path)  # the server may read at any time

    @contextmanager
    def environment(self) -> Iterator[None]:
        """For what is started within; what this process itself sees of the time stays."""
        if not FAKETIME:
            raise SystemExit("setting the clock needs libfaketime (Debian: package faketime)")
        before = dict(os.environ)
        os.environ.update(self.env)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)
