"""Dead hosts: worker processes that have stopped beating, with no live master on their machine."""

from __future__ import annotations

import time

from gresque.maintenance.dead import DeadProcesses
from gresque.maintenance.judge import PRUNE_SECONDS, Judge
from gresque.maintenance.lease import Lease
from gresque.maintenance.task import NEVER
from gresque.processes.spec import DeadProcess
from gresque.store.store import Store
from gresque.text import decoded

SILENT = f"no heartbeat for {PRUNE_SECONDS} s"
IDLE = b"worker "
"""Before the id of a worker without processes, to distinguish it from a process."""


class Prune:
    """Under the lease: looks at all heartbeats, recovers the processes that the judge finds dead,
    and unregisters workers of gresque that have had no process for a minute."""

    name = "prune"

    def __init__(self, lease: Lease, judge: Judge, dead: DeadProcesses) -> None:
        self._lease = lease
        self._judge = judge
        self._dead = dead
        self._unfinished = False

    def due(self, now: float) -> float:
        if not self._lease.held:
            return NEVER
        return 0.0 if self._unfinished else self._judge.due(now)

    def run(self, store: Store) -> None:
        self._unfinished = False
        sent = time.monotonic()
        scores, workers = store.maintenance.heartbeats()
        at_work = {process.rsplit(b":", 2)[0] for process in scores}
        # A worker without a process has no heartbeat that could change.
        idle = {IDLE + worker: 0.0 for worker in workers if worker not in at_work}
        judged = self._judge.judge([*scores.items(), *idle.items()], sent)
        dead = [
            DeadProcess(decoded(name), SILENT, None, blameless=False, beat=scores[name])
            for name in judged
            if name in scores
        ]
        left = [decoded(name.removeprefix(IDLE)) for name in judged if name in idle]
        self._unfinished = not self._dead.recover(store, dead, left)
