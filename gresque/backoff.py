"""How long to wait before the next try."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Waits that double up to a limit, each shortened at random by up to a half.

    Many processes lose one server at the same time. Without the random part they would all ask it
    again at the same time.
    """

    __slots__ = ("_first", "_longest", "_next", "_uniform")

    def __init__(
        self,
        first_seconds: float,
        longest_seconds: float,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """`uniform(low, high)` returns a random number between the two."""
        self._first = first_seconds
        self._longest = longest_seconds
        self._uniform = uniform
        self._next = first_seconds

    def next_seconds(self) -> float:
        """The wait before the next try."""
        limit = min(self._next, self._longest)
        self._next = 2 * limit
        return self._uniform(limit / 2, limit)

    def reset(self) -> None:
        """Begin with `first_seconds` again, after a try that succeeded."""
        self._next = self._first
