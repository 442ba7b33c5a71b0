"""What is read once for all who ask within a few seconds."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import Any, TypeVar

T = TypeVar("T")


class Cached:
    """Keeps what was read under a name. Two who ask at once wait for one reading."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._locks: dict[str, Lock] = {}
        self._found: dict[str, tuple[float, Any]] = {}

    def get(self, name: str, seconds: float, read: Callable[[], T]) -> T:
        """What `read` returned under this name, not older than this."""
        with self._lock:
            lock = self._locks.setdefault(name, Lock())
        with lock:
            at, found = self._found.get(name, (0.0, None))
            if not at or monotonic() - at >= seconds:
                found = read()
                self._found[name] = monotonic(), found
            value: T = found
            return value

    def forget(self, name: str) -> None:
        """Read it again for the next who asks."""
        self._found.pop(name, None)
