"""The master's view of one process that it forked."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field

from gresque.processes import stack_dump
from gresque.processes.identity import process_id
from gresque.processes.kind import Kind
from gresque.processes.scoreboard import Ending, Row
from gresque.processes.spec import BlamedJob, DeadProcess
from gresque.processes.state import ProcessState
from gresque.store.ledger import Totals


@dataclass
class Child:
    """A forked process: its pid, its row of the scoreboard, the dead ones that it is to recover."""

    pid: int
    worker_id: str
    born_ms: int
    row: Row
    to_recover: tuple[DeadProcess, ...] = ()
    killed: bool = False
    """The master killed it: it did not leave in time, or no kill could reach its jobs."""
    booted: bool = False
    """The master saw it at work."""
    outdated: bool = False
    """A HUP came after its fork: another process is to take its place."""
    quit_at: float | None = None
    """When the master let it leave, before a shutdown, on the monotonic clock. It may take a moment
    until its row says so."""
    called_at: float | None = None
    """When the master called it to work, on the monotonic clock; None for one that never was a
    standby."""
    forked_at: float = field(default_factory=time.monotonic)
    shard: str = ""
    """The name of the shard that it serves, where there are several."""

    @property
    def kind(self) -> Kind:
        return self.row.kind

    @property
    def process_id(self) -> str:
        return process_id(self.worker_id, self.pid, self.born_ms)

    def __str__(self) -> str:
        return f"{self.kind} {self.pid}" + (f" of {self.shard}" if self.shard else "")

    # Its life

    @property
    def has_booted(self) -> bool:
        return self.row.state.has_booted

    @property
    def quitting(self) -> bool:
        return self.quit_at is not None

    @property
    def stands_by(self) -> bool:
        """Whether it can be called to work."""
        state = self.row.state
        waits = state is ProcessState.STANDING_BY or not state.has_booted
        return self.kind is Kind.STANDBY and waits and not self.quitting

    @property
    def taking_jobs(self) -> bool:
        """Whether it works or soon will; one that retires makes room for its successor."""
        if self.quitting or self.kind is Kind.STANDBY:
            return False
        state = self.row.state
        called = self.called_at is not None and state is ProcessState.STANDING_BY
        return called or state.is_at_work or not state.has_booted

    @property
    def at_work(self) -> bool:
        """Whether it takes jobs now, as one of WORKER_COUNT."""
        counts = self.kind in (Kind.WORKER, Kind.STANDBY) and not self.quitting
        return counts and self.row.state.is_at_work

    @property
    def over(self) -> bool:
        """Whether it runs nothing any more and another one may work in its place, though the
        kernel still takes it down. One that found its queues dry in a burst has none."""
        return self.row.state is ProcessState.LEFT

    @property
    def seconds_at_work(self) -> float:
        """Since it began, at most."""
        return time.monotonic() - (self.called_at or self.forked_at)

    # Actions of the master

    def call(self) -> None:
        """Let a STANDBY work from now on."""
        self.row.kind = Kind.WORKER
        self.called_at = time.monotonic()
        self.signal(signal.SIGCONT)

    def quit(self) -> None:
        """Let it finish what it runs, and leave."""
        self.quit_at = time.monotonic()
        self.row.end(Ending.QUIT)
        self.signal(signal.SIGQUIT)

    def note_signal(self, number: signal.Signals) -> None:
        """Show on the scoreboard what a signal means that the child gets in a moment: a job may
        have set a handler of its own for it."""
        row = self.row
        if number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            row.end(Ending.QUIT if number == signal.SIGQUIT else Ending.TERMINATE)
        elif number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT):
            row.paused = number == signal.SIGUSR2
            if number == signal.SIGUSR1:
                row.kill_jobs()

    def kill(self) -> None:
        self.killed = True
        self.signal(signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # gevent's loop has reaped it, in a hook that waited
            os.kill(self.pid, number)

    # After its end

    @property
    def held(self) -> int:
        """How many jobs it held, as of its last turn."""
        return self.row.totals.held

    def left_to_recover(self) -> list[DeadProcess]:
        """What it was to recover, when it died before it could say that it has."""
        inherited = self.row.inherited
        return [
            dead._replace(counted=dead.counted or number < inherited)
            for number, dead in enumerate(self.to_recover)
        ]

    def dead_process(self, cause: str) -> DeadProcess:
        """Its data for a Recovery when it has died."""
        slot, blamed = self.row.blamed, None
        if slot is not None:
            blamed = BlamedJob(slot, self.row.kill_reason, stack_dump.read(self.row.dump).stack)
        blameless = self.killed or self.row.state is ProcessState.LEFT_HOLDING
        has_ledger = self.row.state.has_booted and self.held
        totals = Totals() if has_ledger else self.row.totals
        return DeadProcess(self.process_id, cause, blamed, blameless=blameless, totals=totals)
