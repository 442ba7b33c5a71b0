"""Comparing the counters of jobs in flight with the ledgers."""

from __future__ import annotations

import logging
import time

from gresque.control.counts import by_worker, verify_counts
from gresque.logs import fields
from gresque.maintenance.lease import Lease
from gresque.maintenance.task import NEVER, Interval
from gresque.store.store import Store

log = logging.getLogger("gresque.maintenance")

VERIFY_SECONDS = 3600.0
MOST_JOBS = 20_000
"""The most jobs in flight that are counted: Redis serves no other client meanwhile, for some 60
ms."""


class VerifyCounts:
    """Under the lease, where anything is counted. The counters are exact by themselves. One that
    another program has changed would keep its queue below the cap, or let too many of its jobs run,
    for as long as any of them is in flight."""

    name = "verify counts"

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._interval = Interval(VERIFY_SECONDS)

    def due(self, now: float) -> float:
        return self._interval.left(now) if self._lease.held else NEVER

    def run(self, store: Store) -> None:
        self._interval.begin(time.monotonic())
        processes = store.processes.ids()
        if not store.counts.are_used(by_worker(processes)):
            return
        held = store.counts.held(processes)
        if held > MOST_JOBS:
            log.info(
                "%d jobs are in flight: their counters are not compared with the ledgers, which "
                "would hold up Redis; gresque limits --verify does it",
                held,
                extra=fields("counts_not_verified", held=held),
            )
            return
        verify_counts(store)
