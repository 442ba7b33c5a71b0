"""Releasing the locks of unique jobs."""

from __future__ import annotations

import logging

from gresque.client.locks import UniqueLock, held_locks
from gresque.client.locks import release as release_locks
from gresque.control.audit import acting, some
from gresque.logs import fields
from gresque.processes.short_names import has_id
from gresque.store.locks import Lock
from gresque.store.store import Store
from gresque.text import printable

log = logging.getLogger("gresque.control")


def release_lock(store: Store, digest: str, job_id: str, *, by: str) -> Lock | None:
    """Release the lock with this digest if this job holds it; None when it does not any more. The
    job goes on. Jobs that wait for the lock are due at once, and a further run is enqueued now."""
    with acting(store, by, "locks release", f"lock {digest} of job {job_id}") as act:
        lock = store.locks.find(digest)
        is_held = lock is not None and lock.job_id == job_id and store.locks.release(lock)
        act.changed(is_held, "this job does not hold it any more")
    if lock is None or not is_held:
        return None
    log.info(
        "%s released the lock %s of job %s", by, printable(lock.key or digest), printable(job_id),
        extra=fields("lock_released", by=by, digest=digest, key=lock.key, job_id=job_id),
    )  # fmt: skip
    return lock


def release(store: Store, key: str, *, by: str) -> list[UniqueLock]:
    """Release the locks with this key as the list shows it, with this digest, or with this job id
    or the last 8 digits of one; returns them. Their jobs go on."""
    with acting(store, by, "locks release", f"lock {key}") as act:
        released = release_locks(store, key)
        if not released:
            named = [
                lock.digest
                for lock in held_locks(store)[0]
                if has_id(lock.job_id, key) or f"{lock.name} {lock.digest}" == key
            ]
            released = release_locks(store, named[0]) if len(named) == 1 else []
        act.count = len(released)
        holders = some([f"job {lock.job_id} {lock.name}" for lock in released])
        act.outcome = f"released, held by {holders}" if released else "no lock has this key"
    return released
