"""When jobs that Redis refused to move are sent again."""

from __future__ import annotations

from typing import Any

from gevent import get_hub

from gresque.worker.turns.refused import RETRY_SECONDS
from gresque.worker.turns.wakeup import Wakeup


class RetryTimer:
    """Makes a retry due a second after a turn in which jobs were refused."""

    def __init__(self, wakeup: Wakeup) -> None:
        self._wakeup = wakeup
        self._timer: Any = None
        self.is_due = False

    def start(self) -> None:
        if self._timer is None:
            self._timer = get_hub().loop.timer(RETRY_SECONDS)
        if not self._timer.active:
            self._timer.start(self._go_off)

    def make_due(self) -> None:
        self.is_due = True

    def take(self) -> bool:
        """Whether this turn sends them again."""
        is_due, self.is_due = self.is_due, False
        return is_due

    def close(self) -> None:
        if self._timer is not None:
            self._timer.close()

    def _go_off(self) -> None:
        self.is_due = True
        self._wakeup.set()
