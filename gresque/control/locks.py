"""Releasing the lock of a unique job."""

from __future__ import annotations

import logging

from gresque.logs import fields
from gresque.store.locks import Lock
from gresque.store.store import Store
from gresque.text import printable

log = logging.getLogger("gresque.control")


def release_lock(store: Store, digest: str, job_id: str, *, by: str) -> Lock | None:
    """Release the lock with this digest if this job holds it; None when it does not any more. The
    job goes on. Jobs that wait for the lock are due at once, and a further run is enqueued now."""
    lock = store.locks.find(digest)
    if lock is None or lock.job_id != job_id or not store.locks.release(lock):
        return None
    log.info(
        "%s released the lock %s of job %s", by, printable(lock.key or digest), printable(job_id),
        extra=fields("lock_released", by=by, digest=digest, key=lock.key, job_id=job_id),
    )  # fmt: skip
    return lock
