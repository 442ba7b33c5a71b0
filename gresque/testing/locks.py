"""The locks of unique jobs, as `store/lua/enqueue_unique.lua` and the scripts of the worker treat
them; `tests/unit/test_testing_locks.py` compares the two.

Jobs run one after the other in a test. So a lock of mode `running` is never held by another job,
and does not stand here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gresque.jobs.payload import id_of
from gresque.jobs.unique import Mark, mark_in
from gresque.store.unique_job import Terms, UniqueJob

if TYPE_CHECKING:
    from gresque.testing.waiting import Waiting

DAY_MS = 86_400_000
LEAST_MS = 3_600_000
KEPT_MS = 316_224_000_000
"""A lock with a payload lives as long: a job would be lost with it."""

_RUN_AT = re.compile(rb'"run_at":[\d.]+')
_EXPIRES_AT = re.compile(rb'"expires_at":([\d.]+)}$')


@dataclass
class FakeLock:
    """The fields of a lock (docs/keys.md); times are epoch milliseconds."""

    id: str
    mode: str
    job_class: str
    key: str
    queue: str
    since: int
    expires: int
    ttl: int = DAY_MS
    replaces: bool = False
    payload: bytes | None = None
    again_id: str | None = None
    again: bytes | None = None
    first: int | None = None
    until: int | None = None


class Locks:
    """The locks that are held, by digest."""

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting
        self.held: dict[str, FakeLock] = {}

    def find(self, digest: str) -> FakeLock | None:
        lock = self.held.get(digest)
        if lock is not None and lock.expires <= self._waiting.now_ms():
            del self.held[digest]
            return None
        return lock

    def all(self) -> dict[str, FakeLock]:
        """Those that have not expired."""
        return {digest: lock for digest in [*self.held] if (lock := self.find(digest)) is not None}

    def copied(self) -> dict[str, FakeLock]:
        return {digest: replace(lock) for digest, lock in self.held.items()}

    # Enqueueing

    def enqueue(self, queue: str, terms: Terms, job: UniqueJob) -> str | None:
        """Enqueue a job, or do with it what its rule says; returns the id of the job that does its
        work, None for itself."""
        now = self._waiting.now_ms()
        due = (0 if terms.kind == "at" else now) + job.milliseconds
        decide = self._throttled if terms.kind == "throttle" else self._unique
        return decide(queue, terms, job, due, now)

    def _unique(self, queue: str, terms: Terms, job: UniqueJob, due: int, now: int) -> str | None:
        if terms.kind == "debounce":
            due = now + terms.period_ms
        lock = self.find(job.digest)
        if lock is None:
            self._waiting.add(queue, job.job_id, job.raw, due)
            lock = self._begin(queue, terms, job, terms.ttl_ms + max(due - now, 0))
            lock.replaces = terms.on_duplicate == "replace"
            lock.first = now if terms.kind == "debounce" else None
            return None
        if terms.on_duplicate in ("drop", "raise"):
            return lock.id
        if terms.on_duplicate == "replace" and lock.again_id is None:
            if self._replaced_in_later(lock, terms, job, due, now):
                return lock.id
            if lock.replaces:
                lock.payload = _under(lock.id, job, due, now)
                lock.expires = now + KEPT_MS
                return lock.id
        is_first = lock.again_id is None
        lock.again_id = lock.again_id or job.job_id
        lock.again = _under(lock.again_id, job, due, now)
        lock.expires = now + KEPT_MS
        return None if is_first else lock.again_id

    def _replaced_in_later(
        self, lock: FakeLock, terms: Terms, job: UniqueJob, due: int, now: int
    ) -> bool:
        """Change the job that holds the lock where it waits for its time."""
        put_off_to = None
        if terms.kind == "debounce" and lock.replaces and lock.first is not None:
            put_off_to = min(due, lock.first + terms.most)
        if not self._rewrite(lock.id, job, due, put_off_to):
            return False
        lock.payload = None
        if not lock.replaces:
            lock.replaces, lock.first = True, None
        if put_off_to is not None:
            lock.expires = now + lock.ttl + max(put_off_to - now, 0)
        return True

    def _throttled(
        self, queue: str, terms: Terms, job: UniqueJob, due: int, now: int
    ) -> str | None:
        trailing, lock = terms.most == 1, self.find(job.digest)
        following = lock.again_id if trailing and lock is not None else None
        if following and self._rewrite(following, job, due, None):
            return following
        ends = 0 if lock is None else lock.until or 0
        if lock is not None and lock.again_id and ends <= now:
            ends += terms.period_ms
            lock.id, lock.until, lock.again_id = lock.again_id, ends, None
        if lock is None or ends <= now:
            self._waiting.add(queue, job.job_id, job.raw, due)
            self._begin(queue, terms, job, terms.period_ms).until = now + terms.period_ms
            return None
        if not trailing:
            return lock.again_id or lock.id
        self._waiting.add(queue, job.job_id, _under(job.job_id, job, due, ends), ends)
        lock.again_id = job.job_id
        lock.expires = ends + terms.period_ms
        return None

    def _begin(self, queue: str, terms: Terms, job: UniqueJob, lasts_ms: int) -> FakeLock:
        now = self._waiting.now_ms()
        lock = self.held[job.digest] = FakeLock(
            job.job_id, terms.mode, terms.job_class, job.key, queue, now, now + lasts_ms,
            terms.ttl_ms,
        )  # fmt: skip
        return lock

    def _rewrite(self, holder: str, job: UniqueJob, own_due: int, due: int | None) -> bool:
        found = self._waiting.later.get(holder)
        if found is None:
            return False
        due = found.due_ms if due is None else due
        self._waiting.rewrite_later(holder, _under(holder, job, own_due, due), due)
        return True

    # Working

    def latest(self, raw: bytes) -> bytes:
        """The payload with which a waiting job will run."""
        found = self._of(raw)
        return raw if found is None or found[1].payload is None else found[1].payload

    def start(self, queue: str, raw: bytes) -> bytes:
        """A job starts: it takes the arguments that its lock holds, and with mode `queued` releases
        it. Returns its payload."""
        found = self._of(raw)
        if found is None:
            return raw
        mark, lock = found
        if mark.replaced:
            if lock.payload is not None:
                raw, lock.payload = lock.payload, None
                lock.expires = self._waiting.now_ms() + lock.ttl
            lock.replaces = False
        if mark.mode == "queued":
            self.unlock(mark.digest, lock.id, queue)
        return raw

    def _of(self, raw: bytes) -> tuple[Mark, FakeLock] | None:
        """The lock that a job holds, and what its payload says of it."""
        mark = mark_in(raw)
        lock = None if mark is None else self.find(mark.digest)
        return None if mark is None or lock is None or lock.id != id_of(raw) else (mark, lock)

    def unlock(self, digest: str, job_id: str, queue: str) -> None:
        """A job releases its lock. A further run that was asked for gets it, unless there is no
        queue."""
        lock = self.find(digest)
        if lock is None or lock.id != job_id:
            return
        run = (lock.again or lock.payload) if queue else None
        if run is None:
            del self.held[digest]
            return
        self._waiting.push(queue, [run])
        now, mark = self._waiting.now_ms(), mark_in(run)
        self.held[digest] = replace(
            lock,
            id=lock.again_id if lock.again and lock.again_id else job_id,
            queue=queue,
            since=now,
            expires=now + lock.ttl,
            replaces=mark is not None and mark.replaced,
            payload=None,
            again_id=None,
            again=None,
            first=None,
        )

    def prolong(self, digest: str, job_id: str, delay_ms: int) -> None:
        """A job waits for another attempt and keeps its lock."""
        lock = self.find(digest)
        if lock is not None and lock.id == job_id:
            least = self._waiting.now_ms() + delay_ms + max(lock.ttl, LEAST_MS)
            lock.expires = max(lock.expires, least)


def _under(holder: str, job: UniqueJob, own_due: int, due: int) -> bytes:
    """The payload of a job under the id of the one that does its work, and with the time at which
    that is due."""
    before, _, rest = job.raw.partition(job.job_id.encode())
    rest = _RUN_AT.sub(b'"run_at":%.3f' % (due / 1000), rest, count=1)
    moved = (due - own_due) / 1000
    rest = _EXPIRES_AT.sub(lambda found: b'"expires_at":%.3f}' % (float(found[1]) + moved), rest)
    return before + holder.encode() + rest
