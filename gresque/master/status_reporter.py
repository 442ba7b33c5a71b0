"""The status of the master, for systemd, for the caller of `--daemon`, and for `ps`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from gresque.master.sd_notify import SdNotifier
from gresque.processes.title import Title, describe_counts
from gresque.settings import Settings
from gresque.store.ledger import Totals
from gresque.text import counted

REFRESH_SECONDS = 1.0


class Phase(StrEnum):
    """A phase of the master's life."""

    BOOTING = "booting"  # some of its first WORKER_COUNT processes do not work yet
    WORKING = "working"
    PAUSED = "paused"
    RELOADING = "reloading"  # a HUP has it replace every process
    STOPPING = "stopping"


class MasterStatus(NamedTuple):
    """The master at one moment."""

    boots: int
    """Worker processes that came to work since its start."""
    at_work: Callable[[], int]
    """Counts the worker processes that take jobs now; called once a second."""
    stopping: bool
    rolling: bool
    paused: bool
    totals: Callable[[], Totals]
    """Counts of all jobs so far; called once a second."""


class StatusReporter:
    """Notifies systemd (readiness, reloads, the end, a status line, the watchdog) and the caller of
    `--daemon` (the first process works), and sets the title that `ps` shows.

    The master's loop calls `report`, so a loop that hangs does not feed the watchdog.
    """

    def __init__(self, settings: Settings, on_first_boot: Callable[[], None] | None) -> None:
        self._worker_count = settings.worker_count
        self._notifier = SdNotifier(settings.systemd.notify_socket)
        self._watchdog_seconds = settings.systemd.watchdog_seconds / 2
        self._on_first_boot = on_first_boot
        self._title = Title(settings, "master")
        self._title.show(Phase.BOOTING)
        self._phase = Phase.BOOTING
        self._shown = ""
        self._refresh_at = 0.0
        self._beat_at = 0.0 if self._watchdog_seconds else float("inf")

    @property
    def due(self) -> float:
        """When the watchdog expects the next message, on the monotonic clock."""
        return self._beat_at

    def report(self, status: MasterStatus) -> None:
        """Report what has changed, and once a second the counts."""
        now = time.monotonic()
        if status.boots and self._on_first_boot is not None:
            self._on_first_boot()
            self._on_first_boot = None
        phase = self._phase_of(status)
        if phase is not self._phase and self._announce(phase):
            self._phase = phase
            self._refresh_at = 0.0
        if now >= self._refresh_at:
            self._refresh_at = now + REFRESH_SECONDS
            self._refresh(status)
        if now >= self._beat_at and self._notifier.send("WATCHDOG=1"):
            self._beat_at = now + self._watchdog_seconds

    def _phase_of(self, status: MasterStatus) -> Phase:
        if status.stopping:
            return Phase.STOPPING
        if status.boots < self._worker_count:
            return Phase.BOOTING
        if status.rolling and self._phase is not Phase.BOOTING:
            return Phase.RELOADING
        return Phase.PAUSED if status.paused else Phase.WORKING

    def _announce(self, phase: Phase) -> bool:
        """False when the message did not arrive; the next `report` sends it again."""
        if phase is Phase.STOPPING:
            return self._notifier.send("STOPPING=1")
        if phase is Phase.RELOADING:
            return self._notifier.send(
                "RELOADING=1",
                f"MONOTONIC_USEC={time.monotonic_ns() // 1000}",
            )
        if self._phase in (Phase.BOOTING, Phase.RELOADING):
            # With the pid: systemd may have started a shell, or the caller of --daemon.
            return self._notifier.send("READY=1", f"MAINPID={os.getpid()}")
        return True

    def _refresh(self, status: MasterStatus) -> None:
        processes = counted(self._worker_count, "process", "processes")
        line = (
            f"{self._phase}, {status.at_work()} of {processes}, {describe_counts(status.totals())}"
        )
        self._title.show(line)
        if line != self._shown and self._notifier.send(f"STATUS={line}"):
            self._shown = line
