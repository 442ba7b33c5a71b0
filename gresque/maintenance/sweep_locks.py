"""Releasing the locks of unique jobs whose jobs are nowhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Generator

from gresque.jobs.unique import THROTTLE
from gresque.logs import fields
from gresque.maintenance.lease import Lease
from gresque.maintenance.task import NEVER, Interval
from gresque.store.effects import passed_on, unlocked
from gresque.store.locks import Lock
from gresque.store.store import Store
from gresque.text import counted, printable

log = logging.getLogger("gresque.maintenance")

SWEEP_SECONDS = 3600.0
OLD_SECONDS = 600.0
"""Younger locks are left alone: their jobs may be on their way."""
SOON_SECONDS = 2 * SWEEP_SECONDS
"""A lock that would expire within this time is prolonged while its job runs."""
PROLONGED_MS = 86_400_000
PASS_SECONDS = 0.5
"""After this time other tasks have their turn, above all the lease."""
AT_ONCE = 500


class SweepLocks:
    """Under the lease. The script that ends a job releases its lock. Where another program takes
    the job, or deletes its queue, no script does, and later jobs would be excluded until the lock
    expires.

    A lock is released when it is ten minutes old and two passes, one after the other, find its job
    in no ledger, in no queue and not in `later`: a single pass may miss a job that moves. A further
    run of the job is enqueued then. A lock is prolonged when its job runs for longer than the lock
    would live.
    """

    name = "sweep locks"

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._interval = Interval(SWEEP_SECONDS)
        self._sweep: Generator[None] | None = None
        """The sweep that is under way."""

    def due(self, now: float) -> float:
        return self._interval.left(now) if self._lease.held else NEVER

    def run(self, store: Store) -> None:
        now = time.monotonic()
        self._interval.begin(now)
        sweep, self._sweep = self._sweep or _sweep(store), None
        for _ in sweep:
            if time.monotonic() >= now + PASS_SECONDS:
                self._sweep = sweep
                self._interval.begin(now, 0.0)
                return


def _sweep(store: Store) -> Generator[None]:
    """Yields after each step, so that other tasks may have their turn."""
    now = store.now()
    old: dict[str, Lock] = {}
    for lock in store.locks.each():
        if _is_old(lock, now):
            old[lock.job_id] = lock
        yield
    for _ in range(2):
        yield from _drop_standing(store, old)
    if old:
        _release(store, old.values())


def _is_old(lock: Lock, now: float) -> bool:
    """A lock of mode `running` that its next job has not taken yet lives for a minute only."""
    if lock.mode == THROTTLE or not lock.job_id or (lock.mode == "running" and not lock.by):
        return False
    return lock.since is None or now - lock.since >= OLD_SECONDS


def _drop_standing(store: Store, old: dict[str, Lock]) -> Generator[None]:
    """Remove from `old` the locks whose jobs are found somewhere."""
    ids = [job_id for job_id, lock in old.items() if lock.mode != "running"]
    for first in range(0, len(ids), AT_ONCE):
        _drop(old, store.locks.delayed_among(ids[first : first + AT_ONCE]))
        yield
    for queue in {*store.queues.names(), *store.suspects.queues()}:
        if all(lock.mode == "running" for lock in old.values()):
            break  # their jobs are in ledgers
        for found in store.locks.waiting_in(queue):
            _drop(old, {job_id for job_id in found if job_id in old and not old[job_id].by})
            yield
    for process in store.processes.ids() if old else ():
        held = store.locks.held_by(process)
        for job_id in held & old.keys():
            lock = old[job_id]
            if lock.by and not lock.by.startswith(f"{process} "):
                continue  # a second copy of the job; the first one holds the lock
            del old[job_id]
            if lock.expires is not None and lock.expires < SOON_SECONDS:
                store.locks.prolong(lock, PROLONGED_MS)
        yield


def _drop(old: dict[str, Lock], found: Collection[str]) -> None:
    for job_id in found:
        old.pop(job_id, None)


def _release(store: Store, locks: Collection[Lock]) -> None:
    store.locks.apply(
        [
            (passed_on if lock.mode == "running" else unlocked)(
                store.keys, lock.digest, lock.queue, lock.job_id
            )
            for lock in locks
        ]
    )
    some = ", ".join(printable(lock.key or lock.digest) for lock in list(locks)[:3])
    log.warning(
        "released %s whose jobs are nowhere; another program must have run or removed them: %s",
        counted(len(locks), "lock"), some,
        extra=fields("locks_swept", count=len(locks)),
    )  # fmt: skip
