"""Failure backends: where failed jobs go, and how they are read back, retried and removed."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from gresque.errors import InvalidPayload
from gresque.failure.entry import FailedEntry, decode_entry, timestamp
from gresque.failure.retry import prepare_retry
from gresque.jobs import payload
from gresque.store.data_store import DataStore, FailedChange, FailedMove

PAGE = 1000
"""Entries per round trip; a list of a million is never in memory as a whole."""
REMOVALS = 50
"""Entries per round trip that are removed from amid the list. To reach one amid a million takes
Redis milliseconds, in which it serves nobody else."""


@dataclass(frozen=True)
class FailedJob:
    """An entry as it was read: its place, its bytes, and what they say.

    `entry` is None when they are no whole entry of any Resque; such a thing is shown as it is.
    """

    index: int
    raw: bytes
    entry: FailedEntry | None

    @property
    def item(self) -> dict[str, Any]:
        """The payload of the job that failed; empty when that is no JSON object."""
        found = self._field("payload")
        return found if isinstance(found, dict) else {}

    @property
    def job_id(self) -> str:
        """As text, whatever its type; empty for jobs of stock Resque."""
        return str(self.item.get("id") or "")

    @property
    def retried(self) -> bool:
        return bool(self._field("retried_at"))

    def _field(self, name: str) -> Any:
        """Also of what is an entry but for a missing field, and so can be retried."""
        return getattr(self.entry, name) if self.entry else payload.loads(self.raw).get(name)

    def as_dict(self) -> dict[str, Any]:
        """Every field that stands in Redis, unknown ones included, and the index."""
        return {"index": self.index} | payload.loads(self.raw) | {"index": self.index}


class Retries(NamedTuple):
    """What `retry_all` did. `refused` could not be retried: they tell no job, or their queue is no
    queue."""

    retried: int = 0
    retried_before: int = 0
    refused: int = 0

    def __add__(self, other: Retries) -> Retries:  # type: ignore[override]
        return Retries(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


Round = tuple[list[FailedJob], list[FailedChange], int]
"""A page, what became of it, and how many jobs could not be pushed."""


class FailureBackend(ABC):
    """Where failed jobs go, and how they are read back.

    Entries are numbered from 0, the oldest. New ones come at the end, so that an index holds until
    something is removed; whatever changes an entry checks that it is still the one that was read.
    """

    @abstractmethod
    def list_key(self, queue: str) -> str:
        """The LIST to which a failed job of `queue` is pushed."""

    @abstractmethod
    def count(self) -> int:
        """How many entries there are."""

    @abstractmethod
    def read(self, start: int, count: int) -> list[bytes]:
        """`count` entries from index `start` as they stand there, in one round trip."""

    @abstractmethod
    def retry(self, jobs: Sequence[FailedJob]) -> list[bool]:
        """Put jobs back into their queues and mark their entries, each in one atomic step.

        False for an entry that is not in its place any more. Retrying a retried one runs the job
        once more. Raises InvalidPayload, before anything is done, when one tells no job.
        """

    @abstractmethod
    def rewrite(self, changes: Sequence[FailedChange]) -> int | None:
        """Change the oldest entries, which then become the newest; see `DataStore`."""

    @abstractmethod
    def remove(self, jobs: Collection[FailedJob]) -> int:
        """Remove these entries, and no other; returns how many were still in their place."""

    @abstractmethod
    def remove_oldest(self, count: int) -> int:
        """Remove that many entries, retried or not; returns how many there were."""

    def page(self, start: int, count: int) -> list[FailedJob]:
        """`count` entries from index `start`, in one round trip."""
        return [read_entry(i, raw) for i, raw in enumerate(self.read(start, count), start)]

    def find(self, index: int) -> FailedJob | None:
        """The entry at `index`."""
        return next(iter(self.page(index, 1)), None)

    def find_ids(self, job_ids: Collection[str]) -> dict[str, FailedJob]:
        """Job id -> its newest entry. Reads from the newest entry on until all are found."""
        wanted = {job_id: job_id.encode("utf-8", "surrogateescape") for job_id in job_ids}
        found: dict[str, FailedJob] = {}
        for index, raw in self._newest_raw():
            for job_id, text in list(wanted.items()):
                # Decoding is the slow part, and nearly every entry can be told by its bytes.
                if text in raw and (job := read_entry(index, raw)).job_id == job_id:
                    found[job_id] = job
                    del wanted[job_id]
            if not wanted:
                break
        return found

    def _newest_raw(self) -> Iterator[tuple[int, bytes]]:
        for start, count in _pages_backwards(0, self.count()):
            yield from reversed(list(enumerate(self.read(start, count), start)))

    def newest(self, offset: int = 0, count: int = 20) -> Iterator[FailedJob]:
        """`count` entries, the newest first, after the `offset` newest ones."""
        stop = self.count() - offset
        for start, size in _pages_backwards(max(stop - count, 0), stop):
            yield from reversed(self.page(start, size))

    def retry_all(self) -> Retries:
        """Retry, oldest first, every entry that stands here now and was not retried before.

        Those that fail anew meanwhile wait for the next call: they would go round for ever.
        """
        now = timestamp(time.time())
        total = Retries()
        for page, changes, refused in self._go_round(lambda job: _plan_retry(job, now)):
            pushes = sum(bool(change.queue) for change in changes)
            before = sum(job.retried for job in page)
            total += Retries(pushes - refused, before, len(page) - before - pushes + refused)
        return total

    def clear(self) -> int:
        """Remove the entries that were retried; returns how many."""
        return sum(
            sum(job.retried for job in page) for page, _, _ in self._go_round(_plan_clearing)
        )

    def _go_round(self, plan: Callable[[FailedJob], FailedChange]) -> Iterator[Round]:
        """Rewrite every entry as `plan` says, page by page.

        Each page goes from the head of the list to its end; in between, indexes do not hold. When
        somebody else took entries from the head, it is read again.
        """
        left = self.count()
        while left > 0 and (page := self.page(0, min(PAGE, left))):
            changes = [plan(job) for job in page]
            refused = self.rewrite(changes)
            if refused is not None:
                left -= len(page)
                yield page, changes, refused


class RedisBackend(FailureBackend):
    """All failed jobs in one list, `resque:failed`: Resque's own backend."""

    def __init__(self, store: DataStore) -> None:
        self._store = store
        self._key = store.keys.failed

    def list_key(self, queue: str) -> str:
        return self._key

    def count(self) -> int:
        return self._store.failed_count(self._key)

    def read(self, start: int, count: int) -> list[bytes]:
        return self._store.failed_page(self._key, start, count)

    def retry(self, jobs: Sequence[FailedJob]) -> list[bool]:
        now = timestamp(time.time())
        return self._store.retry_failed(self._key, [_move(job, now) for job in jobs])

    def rewrite(self, changes: Sequence[FailedChange]) -> int | None:
        return self._store.rewrite_failed(self._key, changes)

    def remove(self, jobs: Collection[FailedJob]) -> int:
        entries = {job.index: job.raw for job in jobs}
        # From the end on: what is removed first shifts nothing that comes later.
        highest_first = sorted(entries.items(), reverse=True)
        return sum(
            self._store.remove_failed(self._key, highest_first[start : start + REMOVALS])
            for start in range(0, len(highest_first), REMOVALS)
        )

    def remove_oldest(self, count: int) -> int:
        return self._store.trim_failed(self._key, count)


def read_entry(index: int, raw: bytes) -> FailedJob:
    """Whatever stands in the list, an entry or not."""
    try:
        entry = decode_entry(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        entry = None
    return FailedJob(index, raw, entry)


def _pages_backwards(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Start and size of the pages of [start, stop), the last one first."""
    while stop > start:
        first = max(stop - PAGE, start)
        yield first, stop - first
        stop = first


def _plan_retry(job: FailedJob, retried_at: str) -> FailedChange:
    if job.retried:
        return FailedChange(job.raw, job.raw)
    try:
        retry = prepare_retry(job.raw, retried_at)
    except InvalidPayload:
        return FailedChange(job.raw, job.raw)
    return FailedChange(job.raw, retry.marked, retry.queue, retry.item)


def _plan_clearing(job: FailedJob) -> FailedChange:
    return FailedChange(job.raw, b"" if job.retried else job.raw)


def _move(job: FailedJob, retried_at: str) -> FailedMove:
    try:
        retry = prepare_retry(job.raw, retried_at)
    except InvalidPayload as error:
        raise InvalidPayload(f"failed job {job.index} cannot be retried: {error}") from None
    return FailedMove(job.index, job.raw, retry.marked, retry.queue, retry.item)
