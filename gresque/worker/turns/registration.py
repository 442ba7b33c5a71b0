"""How a worker process registers in Redis, and unregisters."""

from __future__ import annotations

import os
from itertools import islice
from typing import Any

from gresque.clock import iso_8601
from gresque.connection.scripts import script
from gresque.connection.tracked import TrackedConnection
from gresque.processes.fingerprint import find
from gresque.processes.identity import master_pid_of
from gresque.processes.spec import ProcessSpec
from gresque.store.keys import Keys
from gresque.store.ledger import Totals
from gresque.store.refusals import name_refused, pairs
from gresque.worker.turns.in_flight import InFlight, ReservedJob

MOST_REVIVED = 1800
"""Jobs that are sent when a process registers again."""


class Registration:
    """The entries of one process: its worker's id, its heartbeat, its ledger, where it is found.

    Its methods send to the connection of the cycle, and raise redis-py's errors; each may be sent
    again.
    """

    def __init__(
        self,
        keys: Keys,
        spec: ProcessSpec,
        process_id: str,
        in_flight: InFlight,
        connection: TrackedConnection,
    ) -> None:
        self._keys = keys
        self._spec = spec
        self._process_id = process_id
        self._in_flight = in_flight
        self._totals = " ".join(map(str, in_flight.totals))
        """Those that the process started from."""
        self._connection = connection

    def register(self) -> None:
        """Make the process known, and give it its ledger."""
        keys, worker, totals = self._keys, self._spec.worker_id, self._spec.counted()
        refused = self._connection.run(
            script("register"), 9,
            keys.workers, keys.worker_started(worker), keys.ledgers,
            keys.ledger(self._process_id), keys.heartbeats, keys.processes, keys.masters,
            keys.worker_stat("processed", worker), keys.worker_stat("failed", worker),
            *self._self_description(), totals.done + totals.failed, totals.failed,
        )  # fmt: skip
        if refused:
            name_refused(keys, pairs(refused), "this worker does not stand there")

    def revive(self, held: list[ReservedJob], number: int, totals: Totals) -> bool:
        """Register again after Redis has lost its data, with the jobs that are held still; `number`
        and `totals` are those of the last turn. Then the server is to be brought up to date.

        False when this process was declared dead.
        """
        keys = self._keys
        first = islice(self._in_flight.entries(held), MOST_REVIVED)
        jobs = [part for pair in first for part in pair]  # others follow: it is brought up to date
        worker = self._spec.worker_id
        done = self._connection.run(
            script("revive"), 9,
            keys.workers, keys.worker_started(worker), keys.ledgers,
            keys.ledger(self._process_id), keys.heartbeats, keys.fenced, keys.processes,
            keys.inflight, keys.inflight_of(worker),
            *self._self_description(), number, " ".join(map(str, totals)), *jobs,
        )  # fmt: skip
        return bool(done)

    def unregister(self, number: int) -> int:
        """Take the ledger away, if nothing is left in it, and all other keys of the process.

        Returns how many jobs are left in it, one more when the server does not know the last turn,
        which has this number: then nothing was removed.
        """
        keys = self._keys
        left: int = self._connection.run(
            script("unregister"), 6,
            keys.ledgers, keys.ledger(self._process_id), keys.running(self._process_id),
            keys.commands(self._process_id), keys.processes, keys.vitals, self._process_id, number,
        )  # fmt: skip
        if os.getppid() != master_pid_of(self._spec.worker_id):
            self._unregister_worker()  # the master is dead and cannot do it
        return left

    def _unregister_worker(self) -> None:
        keys, worker = self._keys, self._spec.worker_id
        self._connection.run(
            script("unregister_worker"), 10,
            keys.ledgers, keys.masters, keys.workers, keys.heartbeats, keys.worker_started(worker),
            keys.worker_stat("processed", worker), keys.worker_stat("failed", worker),
            keys.worker_stat("retried", worker), keys.inflight_of(worker),
            keys.worker_threads(worker), worker,
        )  # fmt: skip

    def _self_description(self) -> tuple[Any, ...]:
        spec = self._spec
        seconds, microseconds = map(int, self._connection.call(b"TIME"))
        return (
            spec.worker_id, spec.started, self._process_id, iso_8601(seconds),
            seconds * 1000 + microseconds // 1000, self._totals,
            find(os.getpid(), master_pid_of(spec.worker_id)),
        )  # fmt: skip
