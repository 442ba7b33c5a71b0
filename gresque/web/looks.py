"""The last look at the whole system, shared by all viewers: one a second at most."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock
from time import monotonic

from gresque.inspector.look import Look
from gresque.store.store import Store

EVERY_SECONDS = 1.0


@dataclass
class Looks:
    """`number` counts them: a page that has the look of this number is up to date."""

    store: Store
    failure_backend: str
    number: int = 0
    _look: Look | None = None
    _taken: float = field(default=0.0)
    _lock: Lock = field(default_factory=Lock)

    @property
    def seen(self) -> Look | None:
        """The last look, however old; None before the first."""
        return self._look

    def last(self) -> Look:
        with self._lock:
            if self._look is None or monotonic() - self._taken >= EVERY_SECONDS:
                self._look = Look.take(self.store, self.failure_backend)
                self._taken = monotonic()
                self.number += 1
            return self._look
