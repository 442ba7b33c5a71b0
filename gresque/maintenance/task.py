"""A task of the maintenance process, done at intervals."""

from __future__ import annotations

from typing import Protocol

from gresque.store.store import Store

NEVER = float("inf")


class Task(Protocol):
    """One thing that is done again and again."""

    name: str
    """For the log."""

    def due(self, now: float) -> float:
        """Seconds until the task is to run; 0 or less when it is to run now. `now` is on the
        monotonic clock."""

    def run(self, store: Store) -> None:
        """Raises what it likes: other tasks run all the same, and this one when it is due again."""


class Interval:
    """When a task that runs at an interval is due. It begins at once."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = float("-inf")

    def left(self, now: float) -> float:
        return self._next - now

    def begin(self, now: float, seconds: float | None = None) -> None:
        """The task runs now, and after `seconds` again: those of the interval unless given."""
        self._next = now + (self._seconds if seconds is None else seconds)
