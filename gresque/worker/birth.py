"""What the master gives a worker process on its way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from gresque.settings import Settings
from gresque.worker.scoreboard import Row


class Estate(NamedTuple):
    """A dead worker process, how it died, and what is known of whose fault that was."""

    process_id: str
    cause: str
    guilty: int | None
    """The slot of the job for whose sake it had to die, if any."""
    blameless: bool
    """None of its jobs is to blame: it was killed in a shutdown."""


@dataclass(frozen=True)
class Birth:
    """The settings, the names and the shared things of one worker process."""

    settings: Settings
    worker_id: str
    started: str
    """When the master started, as Resque writes it."""
    born_ms: int
    row: Row
    heritage: tuple[Estate, ...]
    """Of dead siblings, whose jobs this process recovers before its first turn."""
    paused: bool
    """The worker takes no new jobs at the moment."""
    trial: bool
    """It performs suspects only."""
    beats_at_once: bool
    """No process has looked for dead ones for a while: this one does, before its first turn."""
    tell_master: Callable[[], None]
    """Wakes the master to look at the scoreboard."""
    life_fd: int
    """Readable (at its end) when the master is gone."""
