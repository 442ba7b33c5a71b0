"""How many jobs a worker process still wants."""

from __future__ import annotations

from gresque.processes.scoreboard import Row
from gresque.processes.state import ProcessState
from gresque.worker.policies import Policy
from gresque.worker.threads.pool import ThreadPool
from gresque.worker.turns.batch_size import BatchSize
from gresque.worker.turns.in_flight import InFlight
from gresque.worker.turns.refused import Refused
from gresque.worker.turns.weight import Weight


class Demand:
    """The quota of a process, and whether its queues are dry. Its policy says how many jobs may run
    beside each other."""

    def __init__(
        self,
        row: Row,
        policy: Policy,
        in_flight: InFlight,
        pool: ThreadPool,
        batch_size: BatchSize,
        weight: Weight,
        refused: Refused,
        jobs_per_fork: int,
    ) -> None:
        self._row = row
        self._policy = policy
        self._in_flight = in_flight
        self._thread_pool = pool
        self._batch_size = batch_size
        self._weight = weight
        self._refused = refused
        self._jobs_per_fork = jobs_per_fork
        self.quota = jobs_per_fork
        """How many jobs it may still reserve."""
        self._ends_for_good = False
        self.is_dry = False
        """The last turn found nothing."""
        self._held_when_dry = 0
        self._waits = False

    def jobs(self) -> int:
        """How many jobs this process could start now."""
        if (
            not self._row.state.takes_jobs
            or self._row.must_end
            or self.is_dry
            or self._refused.full
            or self._in_flight.returning  # the turn that gives them back must not take them again
        ):
            return 0
        room = self._policy.room(self._in_flight, self._thread_pool, self._batch_size)
        wanted = max(0, min(room, self.quota))
        return min(wanted, self._weight.most()) if self._weight.heavy else wanted

    def note_reserved(self, count: int) -> None:
        self.quota = max(0, self.quota - count)  # 0 already, when it retired meanwhile

    def note_dry(self, *, waits: bool = False) -> None:
        """A turn found nothing more. `waits` says that limits hold jobs up: a process that leaves
        when its queues are empty waits for them."""
        self.is_dry, self._held_when_dry, self._waits = True, self._in_flight.held, waits

    def end(self, *, for_good: bool) -> None:
        """Want no more jobs; `for_good`: not even when refused jobs keep the process."""
        self.quota = 0
        self._ends_for_good = self._ends_for_good or for_good

    def go_on_with_refused(self) -> bool:
        """A process whose jobs Redis refuses to move keeps them and works on: a successor for each
        such process would be too many processes. Returns whether it has a new quota."""
        if self.quota or self._ends_for_good or self._row.state is ProcessState.DRAINING:
            return False
        self.quota = self._jobs_per_fork
        return True

    @property
    def is_over(self) -> bool:
        """Whether the process leaves as soon as it holds nothing."""
        if self._row.state is ProcessState.DRAINING:
            return True
        if self._refused:
            return False  # another process would run those jobs once more
        return not self.quota or self.leaves_dry

    @property
    def leaves_dry(self) -> bool:
        return self.is_dry and self._policy.leaves_when_dry and not self._waits

    def is_finished(self) -> bool:
        """Whether it holds nothing and leaves. One that found its queues empty while it held jobs
        looks once more: one of those may have enqueued another."""
        if self._in_flight.held or not self.is_over:
            return False
        if self.quota and self._row.state is not ProcessState.DRAINING and self._held_when_dry:
            self.is_dry = False
            return False
        return True
