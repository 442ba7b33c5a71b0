"""A trial: a worker process that performs suspects only, few at a time."""

from __future__ import annotations

import time
from typing import Any

from gevent import get_hub

from gresque.processes.spec import ProcessSpec
from gresque.store.ledger import Totals
from gresque.worker.turns.notifier import NoNotifier
from gresque.worker.worker import Worker

JOBS_IN_QUARANTINE = 32
"""So many jobs under which one process has died run beside each other. Of a thousand suspects the
guilty one is found in some thirty rounds, and after its second death in thirty more."""

IN_QUARANTINE_SECONDS = 60.0
"""A suspect that has run for so long makes room for another one."""

LOOK_SECONDS = 1.0


class Quarantine(Worker):
    """Performs the jobs under which a process has died. Its life, beside a worker's own:

    1. The master forks it when a worker process has seen suspects in a queue and left them there.
    2. Of those that have seen one death it holds 32 on trial; one that has seen more runs alone.
       So an innocent one sees its neighbour's second death at most, and never a third.
    3. It leaves when it finds no more of them. Should its jobs take long, it retires: the master
       forks another one when there are more.

    The other processes go on with what is not suspect, at their full width.
    """

    notifier_class = NoNotifier  # what is pushed is no suspect

    def __init__(self, spec: ProcessSpec, totals: Totals) -> None:
        super().__init__(spec, totals)
        # Where a second death is the last one, the second trial is held alone already.
        self._width = 0 if self._settings.max_recoveries == 2 else JOBS_IN_QUARANTINE
        self._timer: Any = get_hub().loop.timer(LOOK_SECONDS, LOOK_SECONDS)
        self._timer.start(self._look)

    @property
    def _leaves_when_dry(self) -> bool:
        return True

    def _want(self) -> int:
        if self._takes_none:
            return 0
        held = self._in_flight.held - len(self._in_flight.ended)
        if not held:
            wanted = max(self._width, 1)
        elif self._exclusive:
            return 0
        else:
            wanted = self._width - self._in_quarantine(held)
        if self._weight.heavy:
            wanted = min(wanted, self._weight.most())
        threads = self._settings.thread_count
        return max(0, min(wanted, threads - held, self._quota))

    def _turn(self, want: int) -> int:
        self._cycle.suspects = str(min(want, self._width)).encode()
        return super()._turn(want)

    def _heed(self, notice: bytes) -> None:
        self._exclusive = notice == b"alone"

    def _in_quarantine(self, held: int) -> int:
        """Of what it holds, the jobs that have not run for long yet."""
        before = time.monotonic() - IN_QUARANTINE_SECONDS
        return held - sum(t.job is not None and t.since < before for t in self._thread_pool.threads)

    def _look(self) -> None:
        """More may have come, or the time of some is over."""
        self._cycle.forget_queues()
        self._cycle.connection.invalidated.clear()
        held = self._in_flight.held - len(self._in_flight.ended)
        if held and not self._in_quarantine(held) and (self._dry or self._exclusive):
            self._quota = 0
            self._retire()
        self._dry = False
        self._wakeup.set()

    def _wait_for_bell(self) -> bool:
        """Wait for a job's end, or the next look."""
        self._wakeup.wait(None)
        return False
