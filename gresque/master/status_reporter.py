"""The herald: tells whoever looks after the master how it stands."""

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

REFRESH_SECONDS = 1.0


class Phase(StrEnum):
    """Where the master stands in its life."""

    BOOTING = "booting"  # of its first WORKER_COUNT processes some do not work yet
    WORKING = "working"
    PAUSED = "paused"
    RELOADING = "reloading"  # replaces every process, told by HUP
    STOPPING = "stopping"


class Standing(NamedTuple):
    """How the master stands at one moment."""

    boots: int
    """Worker processes that came to work, ever."""
    at_work: int
    """Those that take jobs now."""
    stopping: bool
    rolling: bool
    paused: bool
    totals: Callable[[], Totals]
    """What became of all jobs so far; asked once a second."""


class StatusReporter:
    """Tells systemd (readiness, reloads, the end, a status line, the watchdog's sign of life), the
    caller of `--daemon` (that the first process works), and `ps` (the title).

    The master's loop calls `look` at each turn: a loop that hangs gives no sign of life.
    """

    def __init__(self, settings: Settings, on_first_boot: Callable[[], None]) -> None:
        self._worker_count = settings.worker_count
        self._notifier = SdNotifier(settings.systemd.notify_socket)
        self._watchdog_seconds = settings.systemd.watchdog_seconds / 2
        self._on_first_boot: Callable[[], None] | None = on_first_boot
        self._title = Title(settings, "master")
        self._title.show(Phase.BOOTING)
        self._phase = Phase.BOOTING
        self._status = ""
        self._refresh_at = 0.0
        self._beat_at = 0.0 if self._watchdog_seconds else float("inf")

    @property
    def due(self) -> float:
        """When the watchdog wants the next sign of life, on the monotonic clock."""
        return self._beat_at

    def look(self, standing: Standing) -> None:
        """Tell what has changed, and once a second the counts."""
        now = time.monotonic()
        if standing.boots and self._on_first_boot is not None:
            self._on_first_boot()
            self._on_first_boot = None
        phase = self._phase_of(standing)
        if phase is not self._phase and self._announce(phase):
            self._phase = phase
            self._refresh_at = 0.0
        if now >= self._refresh_at:
            self._refresh_at = now + REFRESH_SECONDS
            self._refresh(standing)
        if now >= self._beat_at and self._notifier.send("WATCHDOG=1"):
            self._beat_at = now + self._watchdog_seconds

    def _phase_of(self, standing: Standing) -> Phase:
        if standing.stopping:
            return Phase.STOPPING
        if standing.boots < self._worker_count:
            return Phase.BOOTING
        if standing.rolling and self._phase is not Phase.BOOTING:
            return Phase.RELOADING
        return Phase.PAUSED if standing.paused else Phase.WORKING

    def _announce(self, phase: Phase) -> bool:
        """True when there was nothing to tell, or it arrived; else it is told at the next look."""
        if phase is Phase.STOPPING:
            return self._notifier.send("STOPPING=1")
        if phase is Phase.RELOADING:
            return self._notifier.send(
                "RELOADING=1",
                f"MONOTONIC_USEC={time.monotonic_ns() // 1000}",
            )
        if self._phase in (Phase.BOOTING, Phase.RELOADING):
            # The pid, for whoever started us through a shell, or with --daemon.
            return self._notifier.send("READY=1", f"MAINPID={os.getpid()}")
        return True

    def _refresh(self, standing: Standing) -> None:
        status = (
            f"{self._phase}, {standing.at_work} of {self._worker_count} processes, "
            f"{describe_counts(standing.totals())}"
        )
        self._title.show(status)
        if status != self._status and self._notifier.send(f"STATUS={status}"):
            self._status = status
