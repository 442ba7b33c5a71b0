"""Dead processes of other masters on this machine: the kernel shows at once that they are dead."""

from __future__ import annotations

import time

from gresque.maintenance.dead import DeadProcesses
from gresque.maintenance.task import NEVER, Interval
from gresque.processes.fingerprint import are_dead, machine
from gresque.processes.spec import DeadProcess
from gresque.store.store import Store

LOOK_SECONDS = 10.0
LOOKED_THROUGH_PER_SECOND = 40
"""Redis looks through all processes, also those of other machines. Each master of a large fleet has
it look at this many in a second on average, so the cost does not grow with their square."""
LONGEST_SECONDS = 50.0
"""The heartbeats show after a minute what no master has seen."""
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
        near, everywhere = store.maintenance.processes_of(machine())
        rest = min(max(LOOK_SECONDS, everywhere / LOOKED_THROUGH_PER_SECOND), LONGEST_SECONDS)
        self._interval.begin(time.monotonic(), rest)
        dead = [
            DeadProcess(process, GONE, None, blameless=False)
            for process, place in near.items()
            if are_dead(place)
        ]
        if not self._dead.recover(store, dead):
            self._interval.begin(time.monotonic(), 0.0)
