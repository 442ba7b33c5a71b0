"""The store of a client in a test: the methods by which clients enqueue, look and take back.

What is left out says so, with NotImitated: pauses and limits, schedules, failed lists, statistics.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import gresque.clock as clock
from gresque.store.delayed import DelayedList
from gresque.store.effects import Effect
from gresque.store.keys import Keys
from gresque.store.later_job import LaterJob
from gresque.store.locks import Lock
from gresque.store.queues import Cleared
from gresque.testing.errors import NotImitated
from gresque.testing.locks import FakeLock
from gresque.testing.waiting import Waiting

DIGEST_CHARS = 32


class FakeStore:
    """In the place of a `Store`."""

    def __init__(self, namespace: str) -> None:
        self.keys = Keys(namespace)
        self.waiting = waiting = Waiting()
        self.enqueuer = self.scheduler = self.unique_enqueuer = waiting
        self.queues = _Queues(waiting)
        self.later = _Later(waiting)
        self.locks = _Locks(waiting)
        self.delayed = _NoForeignJobs()
        self.tracks = self.result_waits = waiting.tracks

    def now(self) -> float:
        return clock.now()

    def close(self) -> None:
        """It has no connections."""

    def __getattr__(self, name: str) -> Any:
        raise _left_out(name)


class _Part:
    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting

    def __getattr__(self, name: str) -> Any:
        raise _left_out(f"{type(self).__name__.strip('_').lower()}.{name}")


def _left_out(name: str) -> Exception:
    if name.startswith("_"):
        return AttributeError(name)
    return NotImitated(
        f"gresque.testing.fake() does not imitate this ({name}); test it with a real server: the "
        "fixture gresque_redis, see docs/testing.md"
    )


class _Queues(_Part):
    """As `store.queues.Queues`."""

    def names(self) -> list[str]:
        return sorted(self._waiting.queues)

    def size(self, queue: str) -> int:
        return len(self._waiting.queues.get(queue, ()))

    def sizes(self) -> dict[str, int]:
        return {name: self.size(name) for name in self.names()}

    def peek(self, queue: str, start: int = 0, count: int = 1) -> list[bytes]:
        items = [job.raw for job in self._waiting.queues.get(queue, ())]
        start = max(start + len(items), 0) if start < 0 else start
        return items[start : start + max(count, 0)]

    def each(self, queue: str) -> Iterator[bytes]:
        return (job.raw for job in reversed([*self._waiting.queues.get(queue, ())]))

    def remove_items(self, queue: str, raws: Iterable[bytes]) -> int:
        return sum(self._waiting.remove(queue, raw) for raw in raws)

    def clear(self, queue: str, most: int) -> Cleared:
        with self._waiting.guard:
            items = [job.raw for job in self._waiting.queues.pop(queue, ())]
        return Cleared(len(items), True, items)


class _Later(_Part):
    """As `store.later.Later`."""

    def count(self) -> int:
        return len(self._waiting.later)

    def page(self, start: int = 0, count: int = 1) -> list[LaterJob]:
        return self._waiting.by_due()[start : start + max(count, 0)]

    def each(self) -> Iterator[LaterJob]:
        return iter(self._waiting.by_due())

    def find(self, member: str) -> LaterJob | None:
        return self._waiting.later.get(member)

    def cancel(self, member: str) -> bool:
        with self._waiting.guard:
            return self._waiting.later.pop(member, None) is not None

    def run_now(self, job: LaterJob, raw: bytes) -> bool:
        with self._waiting.guard:
            found = self.find(job.member) == job
            if found:
                del self._waiting.later[job.member]
                self._waiting.push(job.queue, [raw])
            return found

    def put_off(
        self,
        job: LaterJob,
        raw: bytes,
        milliseconds: int,
        *,
        is_delay: bool,
        lock: tuple[str, str] | None = None,
    ) -> bool:
        waiting = self._waiting
        with waiting.guard:
            if self.find(job.member) != job:
                return False
            now = waiting.now_ms()
            due = milliseconds + (now if is_delay else 0)
            waiting.later[job.member] = job._replace(raw=raw, due_ms=due)
            if lock is not None:
                waiting.locks.prolong(*lock, max(due - now, 0))
            return True


class _Locks(_Part):
    """As `store.locks.Locks`."""

    def by_age(self) -> list[Lock]:
        with self._waiting.guard:
            now = self._waiting.now_ms()
            held = self._waiting.locks.all().items()
            return sorted((_lock(*each, now) for each in held), key=lambda lock: lock.since or 0.0)

    def each(self) -> Iterator[Lock]:
        return iter(self.by_age())

    def find(self, digest: str) -> Lock | None:
        return next((lock for lock in self.by_age() if lock.digest == digest), None)

    def release(self, lock: Lock) -> bool:
        with self._waiting.guard:
            found = self._waiting.locks.find(lock.digest)
            if found is None or found.id != lock.job_id:
                return False
            run = found.again or found.payload
            if run is not None:
                self._waiting.push(found.queue, [run])
            del self._waiting.locks.held[lock.digest]
            return True

    def apply(self, effects: Sequence[Effect]) -> None:
        with self._waiting.guard:
            for effect in effects:
                if effect.kind == "unlock":
                    self._waiting.locks.unlock(digest_of(effect), str(effect.b), str(effect.a))

    def take_out(self, queue: str, effect: Effect, *, item: bytes = b"", member: str = "") -> int:
        waiting = self._waiting
        with waiting.guard:
            if member:
                removed = int(waiting.later.pop(member, None) is not None)
            else:
                removed = waiting.remove(queue, item)
            lock = waiting.locks.find(digest_of(effect))
            if removed and lock is not None and lock.id == effect.b:
                lock.payload = None  # it is the job's own
                self.apply([effect])
            return removed


class _NoForeignJobs:
    """resque-scheduler's keys: no other program enqueues in a test."""

    def lists(self) -> list[DelayedList]:
        return []


def digest_of(effect: Effect) -> str:
    return effect.key[-DIGEST_CHARS:]


def _lock(digest: str, found: FakeLock, now: int) -> Lock:
    return Lock(
        digest,
        found.id,
        found.mode,
        found.job_class,
        found.key,
        found.queue,
        found.since / 1000,
        (found.expires - now) / 1000,
        0,
        "",
        found.again is not None,
        found.again is not None or found.payload is not None,
    )
