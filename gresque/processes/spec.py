"""What the master gives a process on its way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from gresque.processes.judge import Judge
from gresque.processes.scoreboard import KillReason, Row
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


@dataclass(frozen=True)
class ProcessSpec:
    """The settings, the names and the shared things of one worker process."""

    settings: Settings
    worker_id: str
    started: str
    """When the master started, as Resque writes it."""
    born_ms: int
    row: Row
    judge: Judge
    """Of others: it shares its memory with the other processes of the master."""
    counted: Callable[[], Totals]
    """What became of all jobs of the worker so far, as of a moment ago."""
    to_recover: tuple[DeadProcess, ...]
    """Of dead siblings, whose jobs this process recovers before its first turn."""
    stands_by: bool
    """It takes no jobs until the master calls it (see `Row.stands_by`)."""
    quarantine: bool
    """It performs suspects only."""
    beats_at_once: bool
    """No process has looked for dead ones for a while: this one does, before its first turn."""
    tell_master: Callable[[], None]
    """Wakes the master to look at the scoreboard."""
    retry_connect: bool
    """Waits when Redis is away at its start; the first processes of a master fail instead."""
    life_fd: int
    """Readable (at its end) when the master is gone."""


@dataclass(frozen=True)
class ProxySpec:
    """What a deputy stands in for: a worker process in which nothing gets the GIL any more."""

    settings: Settings
    worker_id: str
    process_id: str
    pid: int
    row: Row
    judge: Judge
    started: str
    counted: Callable[[], Totals]
    still_since: float
    """When it last gave a sign of life, on the monotonic clock."""
    tell_master: Callable[[], None]
