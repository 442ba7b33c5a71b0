"""When notes of tracked jobs are due though nothing else is."""

from __future__ import annotations

from time import monotonic
from typing import Any

from gevent import get_hub

from gresque.worker.turns.tracked_runs import TrackedRuns
from gresque.worker.turns.wakeup import Wakeup

EARLY_SECONDS = 0.001


class NoteTimer:
    """Wakes the main greenlet when the next note is due."""

    def __init__(self, tracked: TrackedRuns, wakeup: Wakeup) -> None:
        self._tracked = tracked
        self._wakeup = wakeup
        self._timer: Any = None
        self._at = 0.0
        tracked.on_note = self._start

    def _start(self, seconds: float) -> None:
        at = monotonic() + seconds
        if self._timer is not None:
            if self._timer.active and self._at <= at + EARLY_SECONDS:
                return
            self._timer.close()
        self._at = at
        self._timer = get_hub().loop.timer(seconds)
        self._timer.start(self._go_off, update=True)  # the loop's own clock lags

    def _go_off(self) -> None:
        if self._tracked.is_due:
            self._wakeup.set()
        elif (left := self._tracked.seconds_left()) is not None:
            self._start(left)

    def close(self) -> None:
        self._tracked.on_note = lambda seconds: None
        if self._timer is not None:
            self._timer.close()
