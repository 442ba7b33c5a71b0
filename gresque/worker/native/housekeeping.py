"""Work of a worker process beside its jobs, once a second: its title, its memory, its waits."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import gresque.stdio as stdio
from gresque.jobs.payload import class_of
from gresque.logs import fields
from gresque.processes.kind import Kind
from gresque.processes.scoreboard import Ending, Row
from gresque.processes.title import Title, describe_counts
from gresque.settings import Settings
from gresque.worker.turns.in_flight import InFlight, ReservedJob

if TYPE_CHECKING:
    from gresque.worker.native.memory import MemoryLimit

log = logging.getLogger("gresque.worker")


class Housekeeping:
    """Shows the process's state and counts in its title, and retires it above MAX_RSS_MB.

    The native thread of the heartbeat calls `tick`: no job pays for it, and none can hide anything.
    """

    def __init__(
        self,
        settings: Settings,
        row: Row,
        in_flight: InFlight,
        running_jobs: Callable[[], list[ReservedJob]],
        retire: Callable[[], None],
        leave_counts: Callable[[], None],
    ) -> None:
        """`leave_counts` is called once a second (see `Meters`)."""
        self._row = row
        self._in_flight = in_flight
        self._running_jobs = running_jobs
        self._leave_counts = leave_counts
        self._leaves_terminal = settings.background
        self._memory = _memory_limit(settings, retire)
        self._title = Title(settings, "quarantine" if row.kind is Kind.QUARANTINE else "worker")
        self._title.show(row.state.word)

    def on_ready(self) -> None:
        """The process works; one that lives for a single job shows no more than this."""
        self._show()
        if self._leaves_terminal:
            stdio.leave_terminal()

    def tick(self) -> None:
        try:
            stdio.forget_gone_readers()
            self._show()
            self._leave_counts()
            if self._row.ending is not Ending.NONE:
                self._show_waits()
            if self._memory is not None:
                self._memory.check()
        except Exception:
            # It must not keep the heartbeat from beating.
            log.exception("the housekeeping failed", extra=fields("housekeeping_failed"))

    def _show(self) -> None:
        counts = describe_counts(self._in_flight.totals)
        self._title.show(f"{self._row.state.word}, {counts}")

    def _show_waits(self) -> None:
        """The master says for what its shutdown waits."""
        classes = (class_of(job[2]) or "items that are no jobs" for job in self._running_jobs())
        self._row.waits.write(Counter(classes))


def _memory_limit(settings: Settings, retire: Callable[[], None]) -> MemoryLimit | None:
    if settings.max_rss_mb is None:
        return None  # and no psutil, which takes 15 ms to import
    from gresque.worker.native.memory import MemoryLimit

    return MemoryLimit(settings.max_rss_mb, retire)
