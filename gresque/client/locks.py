"""The locks of unique jobs, as a program sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gresque.client.each_shard import EachShard

if TYPE_CHECKING:
    from gresque.store.locks import Lock
    from gresque.store.store import Store


@dataclass(frozen=True)
class UniqueLock:
    """A lock that excludes other jobs with the same key."""

    digest: str
    """The digest of the job's class and its key; the lock is `unique:<digest>` in Redis."""
    job_id: str
    """The job that holds it."""
    unique: str
    """For how long the job holds the lock: `queued`, `running` or `both`; `throttle` for a fixed
    time."""
    name: str
    """The class of the job."""
    key: str | None
    """The key as text, cut at 200 characters; None where it is not known."""
    queue: str
    since: float | None
    """When the lock was taken, in epoch seconds by the server's clock."""
    expires_in: float | None
    """Seconds until the lock expires, whatever happens to the job; None for never."""
    waiting: int
    """The number of jobs that wait for the lock, in mode `running`."""
    next_run: bool
    """One more run follows the job."""


def lock_of(found: Lock) -> UniqueLock:
    return UniqueLock(
        digest=found.digest,
        job_id=found.job_id,
        unique=found.mode,
        name=found.job_class,
        key=found.key or None,
        queue=found.queue,
        since=found.since,
        expires_in=None if found.keeps_payload else found.expires,
        waiting=found.waiting,
        next_run=found.next_run,
    )


def held_locks(store: Store) -> tuple[list[UniqueLock], float]:
    """All locks, the oldest first, and the time by the server's clock."""
    return [lock_of(each) for each in store.locks.by_age()], store.now()


def release(store: Store, key: str) -> list[UniqueLock]:
    """Release the locks with this key, digest or job id, and return them."""
    found = [lock for lock in store.locks.each() if key in lock.names]
    return [lock_of(lock) for lock in found if store.locks.release(lock)]


class UniqueLocks(EachShard):
    """The part of `Client` about the locks of unique jobs."""

    def locks(self) -> list[UniqueLock]:
        """The locks that unique jobs hold now, the oldest first. The call scans all keys of the
        database."""
        found = self._each(lambda store: held_locks(store)[0])
        if len(found) == 1:
            return found[0]
        return sorted((lock for locks in found for lock in locks), key=lambda lock: lock.since or 0)

    def release_lock(self, key: str) -> bool:
        """Release the lock with this key, digest or job id; False when there is none. Its job goes
        on; from then on another job with the key may be enqueued."""
        return self._any(lambda store: bool(release(store, key)))
