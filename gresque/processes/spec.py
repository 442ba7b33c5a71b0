"""The data that the master gives to a process that it forks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gresque.processes.declared_memory import DeclaredMemory
from gresque.processes.kind import Kind
from gresque.processes.scoreboard import KillReason, Row
from gresque.processes.sums import SharedSums
from gresque.settings import Settings
from gresque.store.ledger import Totals


class BlamedJob(NamedTuple):
    """The job for whose sake a process had to die: its slot, why, and where it stood if known."""

    slot: int
    kill_reason: KillReason
    stack: tuple[str, ...]


class DeadProcess(NamedTuple):
    """A dead worker process, how it died, and what is known of whose fault that was."""

    process_id: str
    cause: str
    blamed: BlamedJob | None
    """The job for whose sake it had to die, if any."""
    blameless: bool
    """None of its jobs is to blame for its death: the master killed it."""
    beat: float | None = None
    """The heartbeat by which it was judged dead; None where it is known to be dead."""
    totals: Totals = Totals()
    """Its totals on the scoreboard, if it held nothing: its ledger may be gone, when it was killed
    while it left."""
    counted: bool = False
    """Its totals stand in those of another process, which died before it removed the ledger."""


@dataclass(frozen=True)
class ProcessSpec:
    """The settings, the names and the shared memory of one child."""

    kind: Kind
    """The kind that was forked. A STANDBY becomes a WORKER later; see `Row.kind`."""
    settings: Settings
    worker_id: str
    started: str
    """When the master started, as Resque writes it."""
    born_ms: int
    row: Row
    """Its own."""
    rows: Sequence[Row]
    """Those of all children. A row whose pid is 0 belongs to no process."""
    counted: Callable[[], Totals]
    """The totals of all jobs of the worker so far, as of a moment ago."""
    to_recover: tuple[DeadProcess, ...]
    """Dead siblings, whose jobs this process recovers before its first turn."""
    maintain: Callable[[], None] | None
    """Only in the first process of a burst, which has no maintenance process: runs one pass of all
    its tasks. Called at the start of the process and before its end."""
    sums: SharedSums
    """What short-lived processes have counted."""
    declared: DeclaredMemory
    """Which schedule entries the master has declared."""
    logs_odd_names: bool
    """Whether it logs names of queues that are not UTF-8: not every one of short-lived processes
    does."""
    tell_master: Callable[[], None]
    """Wakes the master to look at the scoreboard."""
    retry_connect: bool
    """Waits when Redis is away at its start; the first processes of a master fail instead."""
    life_fd: int
    """Readable (at its end) when the master is gone."""


@dataclass(frozen=True)
class ProxySpec:
    """The data of a PROXY: a worker process in which no thread gets the GIL, and its names."""

    settings: Settings
    worker_id: str
    process_id: str
    pid: int
    row: Row
    started: str
    counted: Callable[[], Totals]
    still_since: float
    """When the process last showed that it lives, on the monotonic clock."""
    tell_master: Callable[[], None]
