"""The queues from which a turn could not take jobs: paused, full, or held up by their rate."""

from __future__ import annotations

import time
from collections.abc import Sequence

from gresque.worker.turns.served_lists import Window


class Blocked:
    """Those of one turn, or of several turns where there are more lists than one turn takes."""

    def __init__(self) -> None:
        self.paused: set[str] = set()
        """Queues."""
        self.limited: set[bytes] = set()
        """Keys of lists that are full, or have to wait for their rate."""
        self.queues: set[str] = set()
        """The queues of all these lists."""
        self.until: float | None = None
        """When a rate allows a job, on the monotonic clock; None when none is in the way."""

    def note(self, window: Window, ms: int, paused: Sequence[int], limited: Sequence[int]) -> None:
        """Note what a reply of cycle.lua says."""
        self.paused.update(window.queues[index] for index in paused)
        self.limited.update(window.keys[index] for index in limited)
        self.queues.update(window.queues[index] for index in (*paused, *limited))
        self.note_wait(ms)

    def note_wait(self, ms: int) -> None:
        """Note that a rate allows a job in this time."""
        if ms:
            until = time.monotonic() + ms / 1000
            self.until = until if self.until is None else min(until, self.until)
