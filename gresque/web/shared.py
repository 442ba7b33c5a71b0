"""What is worked out once for all viewers of one snapshot."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

from gresque.inspector.snapshot import Snapshot

T = TypeVar("T")
MOST = 100
"""Viewers may have as many filters as they like."""


class Shared:
    """Keeps what belongs to the last snapshot that was asked for. Any number of threads or
    greenlets may ask; two of them at the same moment may both work it out."""

    def __init__(self) -> None:
        self._last: tuple[Snapshot | None, dict[Hashable, object]] = None, {}

    def get(self, snapshot: Snapshot, name: Hashable, make: Callable[[], T]) -> T:
        last, kept = self._last
        if last is not snapshot or len(kept) >= MOST:
            kept = {}
            self._last = snapshot, kept
        if name not in kept:
            kept[name] = make()
        found: T = kept[name]  # type: ignore[assignment]  # as its maker made it
        return found
