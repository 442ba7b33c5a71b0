"""What a worker process takes: any job of its queues, or suspects only (see `quarantine`)."""

from __future__ import annotations

from typing import Protocol

from gresque.processes.spec import ProcessSpec
from gresque.worker.threads.pool import ThreadPool
from gresque.worker.turns.batch_size import BatchSize
from gresque.worker.turns.cycle import Cycle
from gresque.worker.turns.in_flight import InFlight


class Policy(Protocol):
    """What a Worker asks, about once a turn. A policy changes nothing of the worker itself."""

    @property
    def listens(self) -> bool:
        """Whether pushes wake it, as one of the idle processes that share their queues."""

    @property
    def leaves_when_dry(self) -> bool:
        """Whether it leaves when its queues are empty."""

    @property
    def check_seconds(self) -> float | None:
        """How often it looks for jobs unasked and checks `is_over`; None for one that listens."""

    def room(self, in_flight: InFlight, pool: ThreadPool, batch_size: BatchSize) -> int:
        """How many jobs it may reserve beside those that are held; may be negative."""

    def prepare(self, cycle: Cycle, want: int) -> None:
        """Say how the next turn, which wants this many jobs, treats suspects."""

    def on_notice(self, notice: bytes) -> None:
        """Note what the last turn said of suspects (see `Cycle.notice`)."""

    def is_over(self, in_flight: InFlight, pool: ThreadPool, *, dry: bool) -> bool:
        """Whether it takes no more jobs for good. `dry`: its queues were empty."""


class Ordinary:
    """Takes any job. A suspect runs here only where there is one thread; with more threads the
    process leaves it in its queue and reports it, so that the master forks a quarantine."""

    listens = True
    check_seconds = None

    def __init__(self, spec: ProcessSpec) -> None:
        self._threads = spec.settings.thread_count
        self._row = spec.row
        self._tell_master = spec.tell_master
        self.leaves_when_dry = spec.settings.burst
        self._takes_suspects = self._threads == 1
        self._alone = False
        """Nothing may run beside what is held now."""
        self._saw_suspects = False

    def room(self, in_flight: InFlight, pool: ThreadPool, batch_size: BatchSize) -> int:
        held = in_flight.held - len(in_flight.ended)
        if self._alone and held:
            return 0
        return min(batch_size.capacity(self._threads) - held, batch_size.limit)

    def prepare(self, cycle: Cycle, want: int) -> None:
        if self._takes_suspects:
            # Each job is alone at the moment, but for what is held in reserve.
            cycle.suspects = b"alone"

    def on_notice(self, notice: bytes) -> None:
        if self._takes_suspects:
            self._alone = bool(notice)  # if suspects wait, the next one is taken alone
            return
        if notice:
            self._row.suspects_seen += 1
            if not self._saw_suspects:
                self._tell_master()
        self._saw_suspects = bool(notice)

    def is_over(self, in_flight: InFlight, pool: ThreadPool, *, dry: bool) -> bool:
        return False
