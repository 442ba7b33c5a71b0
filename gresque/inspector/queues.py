"""Queues: how much waits in each."""

from __future__ import annotations

from dataclasses import dataclass

from gresque.store.store import Store


@dataclass(frozen=True)
class QueueStatus:
    """A queue, and how many jobs wait in it, those that a process died under included."""

    name: str
    size: int

    @classmethod
    def all(cls, store: Store) -> list[QueueStatus]:
        """Every queue, by name, in two round trips."""
        return [cls(name, size) for name, size in store.queues.sizes().items()]
