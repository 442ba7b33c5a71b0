"""The policy of a quarantine process: it performs suspects only, few at a time."""

from __future__ import annotations

import time

from gresque.processes.spec import ProcessSpec
from gresque.worker.threads.pool import ThreadPool
from gresque.worker.turns.batch_size import BatchSize
from gresque.worker.turns.cycle import Cycle
from gresque.worker.turns.in_flight import InFlight
from gresque.worker.turns.served_lists import Takes

JOBS_IN_QUARANTINE = 32
"""How many jobs that saw one death run beside each other. Of a thousand suspects the guilty one is
found in some thirty rounds, and after its second death in thirty more."""

IN_QUARANTINE_SECONDS = 60.0
"""A suspect that has run for this long makes room for another one."""

CHECK_SECONDS = 1.0


class Quarantine:
    """Takes the jobs under which a process has died. The life of its process:

    1. The master forks it when suspects wait.
    2. It takes a job that saw several deaths when it holds nothing, and runs it alone. Of those
       that saw one death it holds 32 at a time. So an innocent job sees its neighbour's second
       death at most, and never a third.
    3. It leaves when it finds no more suspects. If its jobs take long, it retires: the master forks
       another quarantine when there are more.

    The other processes go on with the other jobs, at their full width.
    """

    listens = False  # a job that is pushed is no suspect
    leaves_when_dry = True
    takes_suspects = True

    def __init__(self, spec: ProcessSpec) -> None:
        self.check_seconds = CHECK_SECONDS
        self._threads = spec.settings.thread_count
        # Where a second death is the last one, a job is alone from its first death on.
        self._width = 0 if spec.settings.max_recoveries == 2 else JOBS_IN_QUARANTINE
        self._alone = False
        """Nothing may run beside the job that is held now."""
        self._row = spec.row
        self._is_over = False
        self._lets_run_out = False
        """It takes no more jobs until it holds none, and then one that saw several deaths."""

    def room(self, in_flight: InFlight, pool: ThreadPool, batch_size: BatchSize) -> int:
        held = in_flight.held - len(in_flight.ended)
        if not held:
            return 1  # it may be one that saw several deaths, and runs alone then
        if self._alone or self._lets_run_out:
            return 0
        return min(self._width - _young(held, pool), self._threads - held)

    def prepare(self, cycle: Cycle, in_flight: InFlight, want: int) -> int:
        if not want:
            return 0
        if in_flight.held == len(in_flight.ended):
            cycle.takes = Takes.SUSPECTS
            self._lets_run_out = False
            return want
        cycle.takes = Takes.ONE_DEATH
        # A job that saw several deaths would wait for as long as others come.
        self._lets_run_out = cycle.has_jobs(Takes.SEVERAL_DEATHS)
        return 0 if self._lets_run_out else want

    def on_turn(self, cycle: Cycle, in_flight: InFlight, want: int, reserved: int) -> None:
        if want and cycle.takes is Takes.SUSPECTS:
            self._alone = cycle.deaths > 1 or not self._width

    def on_dry(self, cycle: Cycle) -> None:
        """It looked for nothing but suspects."""

    def is_over(self, in_flight: InFlight, pool: ThreadPool, *, dry: bool) -> bool:
        """Whether it holds only jobs that take long, and may take no others beside them. There may
        be more for the next quarantine."""
        held = in_flight.held - len(in_flight.ended)
        waits = dry or self._alone or self._lets_run_out or held >= self._threads
        if not self._is_over and held and not _young(held, pool) and waits:
            self._is_over = True
            self._row.suspects_seen += 1  # the master is notified as the process retires
        return self._is_over


def _young(held: int, pool: ThreadPool) -> int:
    """How many of the held jobs have not run for long yet."""
    before = time.monotonic() - IN_QUARANTINE_SECONDS
    return held - sum(t.job is not None and t.since < before for t in pool.threads)
