"""Releasing the locks of unique jobs."""

from __future__ import annotations

import logging

from gresque.client.locks import UniqueLock, lock_of
from gresque.control.audit import acting, some
from gresque.errors import AmbiguousId
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
    or the last 8 digits of one; returns them. Their jobs go on. Raises AmbiguousId when ids of
    several jobs end with these digits."""
    with acting(store, by, "locks release", f"lock {key}") as act:
        released = [lock_of(lock) for lock in _named(store, key) if store.locks.release(lock)]
        act.count = len(released)
        holders = some([f"job {lock.job_id} {lock.name}" for lock in released])
        act.outcome = f"released, held by {holders}" if released else "no lock has this key"
    return released


def _named(store: Store, key: str) -> list[Lock]:
    named, shown_so = list[Lock](), list[Lock]()
    for lock in store.locks.each():
        if key in lock.names:
            named.append(lock)
        elif has_id(lock.job_id, key) or f"{lock.job_class} {lock.digest}" == key:
            shown_so.append(lock)
    if not named and len(shown_so) > 1:
        raise AmbiguousId(
            f"the ids of {len(shown_so):,} jobs that hold a lock end with {printable(key)}; give "
            f"more digits: {printable(some([lock.job_id for lock in shown_so]))}"
        )
    return named or shown_so
