"""Dead worker processes and how they are recovered, for every task that finds some."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from redis import exceptions

from gresque.logs import fields
from gresque.maintenance.suspects import return_suspects
from gresque.processes.identity import queues_in_id, queues_of, worker_of
from gresque.processes.spec import DeadProcess
from gresque.settings import Settings
from gresque.store.store import Store
from gresque.text import printable
from gresque.worker.boot import load_jobs
from gresque.worker.recovery import recovery_for

log = logging.getLogger("gresque.maintenance")

AT_ONCE_SECONDS = 1.5
"""After this the other tasks have their turn: the lease is to be renewed."""


class DeadProcesses:
    """Recovers what dead processes held, and unregisters workers that have no process left.
    Suspects of queues that no process serves any more go back to these, as at a master's end.

    Data that one process left behind may be unreadable, or be refused by Redis: that is logged
    once, and holds up no other process.
    """

    def __init__(
        self,
        settings: Settings,
        must_leave: Callable[[], bool] = lambda: False,
        at_once_seconds: float = AT_ONCE_SECONDS,
    ) -> None:
        self._settings = settings
        self._must_leave = must_leave
        self._at_once_seconds = at_once_seconds
        self._has_jobs = settings.preload
        self._logged: set[str] = set()

    def recover(
        self, store: Store, dead: Sequence[DeadProcess], idle_workers: Iterable[str] = ()
    ) -> bool:
        """True when all of them were dealt with; False when some are left for the next time.
        Raises RedisError and OSError when Redis does not answer, and BootError when the job modules
        cannot be imported: the declaration of a job says what becomes of it."""
        workers = set(idle_workers)
        if not (dead or workers):
            return True
        if not self._has_jobs:
            load_jobs(self._settings)
            self._has_jobs = True
        until = time.monotonic() + self._at_once_seconds
        done = 0
        recovery = recovery_for(self._settings)
        try:
            for process in dead:
                if done and (time.monotonic() >= until or self._must_leave()):
                    break
                done += 1
                try:
                    recovery.recover(process)
                except (exceptions.ConnectionError, exceptions.TimeoutError, OSError):
                    raise
                except Exception as error:
                    self._log_once(process.process_id, error)
                else:
                    workers.add(worker_of(process.process_id))
            for worker_id in workers:
                store.workers.unregister(worker_id)
            left = {queues_of(process.process_id) or "" for process in dead[:done]}
            return_suspects(store, left, [queues_in_id(self._settings)])
        finally:
            with suppress(OSError):
                recovery.close()
        return done == len(dead)

    def _log_once(self, process_id: str, error: Exception) -> None:
        """It is tried again at the next look."""
        if process_id not in self._logged:
            self._logged.add(process_id)
            log.error(
                "cannot recover the dead process %s: %s: %s",
                printable(process_id),
                type(error).__name__,
                error,
                extra=fields("recovery_failed", process_id=process_id),
            )
