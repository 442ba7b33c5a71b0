"""The policy of a quarantine process: it performs suspects only, few at a time."""

from __future__ import annotations

import time

from gresque.processes.spec import ProcessSpec
from gresque.worker.threads.pool import ThreadPool
from gresque.worker.turns.batch_size import BatchSize
from gresque.worker.turns.cycle import Cycle
from gresque.worker.turns.in_flight import InFlight

JOBS_IN_QUARANTINE = 32
"""How many jobs that saw one death run beside each other. Of a thousand suspects the guilty one is
found in some thirty rounds, and after its second death in thirty more."""

IN_QUARANTINE_SECONDS = 60.0
"""A suspect that has run for this long makes room for another one."""

CHECK_SECONDS = 1.0


class Quarantine:
    """Takes the jobs under which a process has died. The life of its process:

    1. The master forks it when a worker process has seen suspects and left them in their queue.
    2. Of those that saw one death it holds 32 at a time; one that saw more runs alone. So an
       innocent job sees its neighbour's second death at most, and never a third.
    3. It leaves when it finds no more suspects. If its jobs take long, it retires: the master forks
       another quarantine when there are more.

    The other processes go on with the other jobs, at their full width.
    """

    listens = False  # a job that is pushed is no suspect
    leaves_when_dry = True

    def __init__(self, spec: ProcessSpec) -> None:
        self.check_seconds = CHECK_SECONDS
        self._threads = spec.settings.thread_count
        # Where a second death is the last one, a job is alone from its first death on.
        self._width = 0 if spec.settings.max_recoveries == 2 else JOBS_IN_QUARANTINE
        self._alone = False
        """Nothing may run beside what is held now."""

    def room(self, in_flight: InFlight, pool: ThreadPool, batch_size: BatchSize) -> int:
        held = in_flight.held - len(in_flight.ended)
        if not held:
            wanted = max(self._width, 1)
        elif self._alone:
            return 0
        else:
            wanted = self._width - _young(held, pool)
        return min(wanted, self._threads - held)

    def prepare(self, cycle: Cycle, want: int) -> None:
        cycle.suspects = str(min(want, self._width)).encode()

    def on_notice(self, notice: bytes) -> None:
        self._alone = notice == b"alone"

    def is_over(self, in_flight: InFlight, pool: ThreadPool, *, dry: bool) -> bool:
        """Whether it holds only jobs that take long, and may take no others beside them."""
        held = in_flight.held - len(in_flight.ended)
        return bool(held) and not _young(held, pool) and (dry or self._alone)


def _young(held: int, pool: ThreadPool) -> int:
    """How many of the held jobs have not run for long yet."""
    before = time.monotonic() - IN_QUARANTINE_SECONDS
    return held - sum(t.job is not None and t.since < before for t in pool.threads)
