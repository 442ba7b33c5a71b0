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


@dataclass
class Child:
    """A forked process: its pid, its row of the scoreboard, the dead ones that it is to recover."""

    pid: int
    worker_id: str
    born_ms: int
    row: Row
    to_recover: tuple[DeadProcess, ...] = ()
    killed: bool = False
    """The master killed it: in a shutdown, or because no kill could reach its jobs."""
    booted: bool = False
    """The master saw it at work."""
    told_to_quit: bool = False
    """By a HUP; it may take a moment until its row says so."""
    called_at: float | None = None
    """When the master called it to work, on the monotonic clock, should it have stood by."""
    forked_at: float = field(default_factory=time.monotonic)

    def dead_process(self, cause: str) -> DeadProcess:
        """What it leaves behind when it dies."""
        slot, blamed = self.row.blamed, None
        if slot is not None:
            blamed = BlamedJob(slot, self.row.kill_reason, stack_dump.read(self.row.dump).stack)
        blameless = self.killed or self.row.state is ProcessState.LEFT_HOLDING
        return DeadProcess(self.process_id, cause, blamed, blameless=blameless)

    @property
    def held(self) -> int:
        """How many jobs it held, as of its last turn."""
        reserved, done, failed, requeued = self.row.totals
        return reserved - done - failed - requeued

    @property
    def process_id(self) -> str:
        return process_id(self.worker_id, self.pid, self.born_ms)

    @property
    def kind(self) -> Kind:
        return self.row.kind

    @property
    def stands_by(self) -> bool:
        """Whether it can be called to work."""
        state = self.row.state
        waits = state is ProcessState.STANDING_BY or not state.has_booted
        return self.kind is Kind.STANDBY and waits and not self.told_to_quit

    def call(self) -> None:
        """Let a STANDBY work from now on."""
        self.row.kind = Kind.WORKER
        self.called_at = time.monotonic()
        self.signal(signal.SIGCONT)

    def quit(self) -> None:
        """Let it end what it runs, and leave."""
        self.told_to_quit = True
        self.row.end(Ending.QUIT)
        self.signal(signal.SIGQUIT)

    @property
    def taking_jobs(self) -> bool:
        """Whether it works or soon will; one that retires makes room for its successor."""
        if self.told_to_quit or self.kind is Kind.STANDBY:
            return False
        state = self.row.state
        called = self.called_at is not None and state is ProcessState.STANDING_BY
        return called or state.is_at_work or not state.has_booted

    @property
    def over(self) -> bool:
        """Whether it runs nothing any more and another one may work in its place, though the
        kernel still takes it down. One that found its queues dry in a burst has none."""
        return self.row.state is ProcessState.LEFT

    @property
    def seconds_at_work(self) -> float:
        """Since it began, at most."""
        return time.monotonic() - (self.called_at or self.forked_at)

    @property
    def at_work(self) -> bool:
        """Whether it takes jobs now, as one of WORKER_COUNT."""
        one_of_them = self.kind in (Kind.WORKER, Kind.STANDBY) and not self.told_to_quit
        return one_of_them and self.row.state.is_at_work

    def signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # gevent's loop has reaped it, in a hook that waited
            os.kill(self.pid, number)


def describe_death(status: int | None) -> str:
    """How a process ended: exited, or killed by which signal."""
    if status is None:
        return "ended, and its status was lost to a hook that waited for a process"
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        return f"was killed by {name}"
    return f"exited with {os.WEXITSTATUS(status)}"
