"""Dead processes of other masters on this machine: the kernel shows at once that they are dead."""

from __future__ import annotations

import time

from gresque.maintenance.dead import DeadProcesses
from gresque.maintenance.task import NEVER, Interval
from gresque.processes.fingerprint import are_dead, machine
from gresque.processes.spec import DeadProcess
from gresque.store.store import Store

LOOK_SECONDS = 10.0
GONE = "it and its master are gone"


class Siblings:
    """Done by every master, without the lease: the one that has it may be on another machine. A
    process is dead when it and its master both are gone; a master recovers its own dead."""

    name = "siblings"

    def __init__(self, dead: DeadProcesses) -> None:
        self._dead = dead
        self._interval = Interval(LOOK_SECONDS)

    def due(self, now: float) -> float:
        return self._interval.left(now) if machine() else NEVER

    def run(self, store: Store) -> None:
        self._interval.begin(time.monotonic())
        near = store.maintenance.processes_of(machine())
        dead = [
            DeadProcess(process, GONE, None, blameless=False)
            for process, place in near.items()
            if are_dead(place)
        ]
        if not self._dead.recover(store, dead):
            self._interval.begin(time.monotonic(), 0.0)
