"""Which jobs a worker process takes: any of its queues, or suspects only (see `quarantine`)."""

from __future__ import annotations

from typing import Protocol

from gresque.processes.spec import ProcessSpec
from gresque.worker.threads.pool import ThreadPool
from gresque.worker.turns.batch_size import BatchSize
from gresque.worker.turns.cycle import Cycle
from gresque.worker.turns.in_flight import InFlight
from gresque.worker.turns.served_lists import Takes


class Policy(Protocol):
    """Asked by a Worker about once a turn. A policy changes nothing of the worker itself."""

    @property
    def takes_suspects(self) -> bool:
        """Whether it may run a job under which a process has died. If not, its threads hand such a
        job, met in an ordinary queue, to the suspects of that queue."""

    @property
    def listens(self) -> bool:
        """Whether pushes wake it, as one of the idle processes that share their queues."""

    @property
    def leaves_when_dry(self) -> bool:
        """Whether it leaves when its queues are empty."""

    @property
    def check_seconds(self) -> float | None:
        """How often it looks for jobs by itself and checks `is_over`; None for one that listens."""

    def room(self, in_flight: InFlight, pool: ThreadPool, batch_size: BatchSize) -> int:
        """How many jobs it may reserve beside those that are held; may be negative."""

    def prepare(self, cycle: Cycle, in_flight: InFlight, want: int) -> int:
        """Choose the lists of the next turn, which wants this many jobs; returns how many it may
        want."""

    def on_turn(self, cycle: Cycle, in_flight: InFlight, want: int, reserved: int) -> None:
        """A turn that wanted `want` jobs has reserved this many."""

    def on_dry(self, cycle: Cycle) -> None:
        """The process leaves, as its lists are empty."""

    def is_over(self, in_flight: InFlight, pool: ThreadPool, *, dry: bool) -> bool:
        """Whether it takes no more jobs for good. `dry`: its queues were empty."""


class Ordinary:
    """Takes any job. With one thread it takes suspects, too, each of them alone. With more threads
    it leaves them to a quarantine: where it meets one, or finds some before a burst ends, it
    reports that, so that the master forks one."""

    listens = True
    check_seconds = None

    def __init__(self, spec: ProcessSpec) -> None:
        self._threads = spec.settings.thread_count
        self._row = spec.row
        self._tell_master = spec.tell_master
        self.leaves_when_dry = spec.settings.burst
        self.takes_suspects = self._threads == 1
        self._alone = False
        """The next job is taken alone, as suspects wait: nothing runs beside it, and nothing is
        held in reserve, as that would see its death."""
        self._handed_over = self._handing_over = 0
        """Suspects met in an ordinary queue: those that were reported, and those that stood in
        their own list after the last turn."""

    def room(self, in_flight: InFlight, pool: ThreadPool, batch_size: BatchSize) -> int:
        held = in_flight.held - len(in_flight.ended)
        if self._alone:
            return 0 if held else 1
        room = self._threads + batch_size.reserve - held
        return min(room, batch_size.limit - len(in_flight.ready))

    def prepare(self, cycle: Cycle, in_flight: InFlight, want: int) -> int:
        cycle.takes = Takes.PLACES if self.takes_suspects else Takes.QUEUES
        self._handing_over = in_flight.handed_over
        return want

    def on_turn(self, cycle: Cycle, in_flight: InFlight, want: int, reserved: int) -> None:
        if self._handing_over > self._handed_over:
            # One that is met while the turn waits for its reply leaves with the next turn: a
            # quarantine that came before would not find it.
            self._handed_over = self._handing_over
            self._report_suspects()
        if want and self.takes_suspects:
            first = cycle.first_suspect
            self._alone = first is not None
            if first is not None and in_flight.held > 1:
                # Some may be gone already: taken by the thread, or given back for their size.
                in_flight.give_back_ready(keep=max(len(in_flight.ready) - reserved + first, 0))

    def on_dry(self, cycle: Cycle) -> None:
        if not self.takes_suspects and cycle.has_jobs(Takes.SUSPECTS):
            self._report_suspects()

    def _report_suspects(self) -> None:
        self._row.suspects_seen += 1
        self._tell_master()

    def is_over(self, in_flight: InFlight, pool: ThreadPool, *, dry: bool) -> bool:
        return False
