"""Where the main greenlet of a worker process waits."""

from __future__ import annotations

from typing import Any

from gevent import get_hub, getcurrent


class Wakeup:
    """One greenlet waits; a job's end, a signal, or the socket wakes it: the first of them.

    A wakeup while none waits is kept for the next wait, so that none is lost.
    `gevent.event.Event` does the same for ten times the cost; this one is passed once per turn.
    """

    def __init__(self) -> None:
        self._loop: Any = get_hub().loop
        self._hub: Any = get_hub()
        self._greenlet = getcurrent()
        self._timer: Any = self._loop.timer(0.0)
        self._is_set = False
        self._waiting = False

    def set(self) -> None:
        """Let the waiting greenlet go on at the loop's next turn."""
        self._is_set = True
        if self._waiting:
            self._waiting = False
            self._loop.run_callback(self._greenlet.switch)

    def wait(self, seconds: float | None) -> bool:
        """Wait until it is set, or for `seconds`; True when it was set."""
        if not self._is_set:
            self._waiting = True
            if seconds is not None:
                self._timer = self._loop.timer(max(seconds, 0.0))
                self._timer.start(self._time_out, update=True)  # the loop's own clock lags
            try:
                self._hub.switch()
            finally:
                self._timer.stop()
        was_set, self._is_set = self._is_set, False
        return was_set

    def _time_out(self) -> None:
        if self._waiting:
            self._waiting = False
            self._greenlet.switch()
