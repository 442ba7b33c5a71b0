"""A worker process whose master dies: it finishes its jobs and leaves."""

from __future__ import annotations

import logging
import time
from typing import Any

from gevent import get_hub, getcurrent

import gresque.stdio as stdio
from gresque.errors import CutOff
from gresque.logs import fields
from gresque.processes.scoreboard import Row
from gresque.processes.tally_log import TallyLog
from gresque.worker.orders import Orders
from gresque.worker.turns.in_flight import InFlight

log = logging.getLogger("gresque.worker")

ORPHAN_SECONDS = 10.0
"""A process without a master that holds nothing waits this long for a Redis that is away. It leaves
behind an empty ledger and a registration, which others clear up."""


class OrphanWatch:
    """Lets a process without a master drain and leave, as nothing is left to replace it.

    If it holds nothing and Redis is away, it ends after 10 s. If it holds jobs, it waits for Redis
    as long as it takes: only this process knows how they ended, and they would run again. TERM ends
    that one, too. In the master's place it logs how many of its jobs failed.
    """

    def __init__(self, life_fd: int, row: Row, in_flight: InFlight, orders: Orders) -> None:
        """Called in the greenlet that runs the worker. `life_fd` is readable when the master is
        gone."""
        self._row = row
        self._tally_log: TallyLog | None = None
        self._in_flight = in_flight
        self._orders = orders
        self._main: Any = getcurrent()
        self.runs_hooks = False
        """The process is leaving, and its hooks may take their time."""
        self._master: Any = get_hub().loop.io(life_fd, 1)
        self._master.start(self._on_master_death)

    def _on_master_death(self) -> None:
        self._master.stop()
        stdio.forget_gone_readers()
        log.warning("the master is gone; finishing the running jobs", extra=fields("master_gone"))
        self._tally_log = TallyLog([self._row], from_now=True)
        self._orders.quit()
        self._empty_since = time.monotonic()
        self._timer: Any = get_hub().loop.timer(1.0, 1.0)
        self._timer.start(self._check)

    def finish(self) -> None:
        """The last job has ended."""
        if self._tally_log is not None:
            self._tally_log.finish()

    def _check(self) -> None:
        if self._tally_log is not None:
            self._tally_log.check()
        now = time.monotonic()
        if self._in_flight.held or self.runs_hooks:
            self._empty_since = now
        elif now - self._empty_since >= ORPHAN_SECONDS:
            self._timer.stop()
            log.warning(
                "Redis stays away and this process holds no jobs: it ends",
                extra=fields("orphan_ended"),
            )
            self._main.throw(CutOff("Redis stays away"))
