"""One list of failed jobs: reading it in pages, sweeping it, retrying and removing by index."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from gresque.clock import retried_at
from gresque.errors import InvalidPayload
from gresque.failure.entry import FailedEntry, decode_entry
from gresque.failure.failed_time import as_resque
from gresque.failure.retry import Retry, prepare_retry
from gresque.failure.sweep_lock import EXPIRY_MS, SweepLock
from gresque.failure.well_formed import well_formed
from gresque.jobs import payload
from gresque.store.failed import FailedChange, FailedMove
from gresque.store.store import Store

PAGE = 1000
"""Entries per round trip at most; a list of a million is never in memory as a whole."""
CHANGES = 250
"""The most entries that one round trip may change: each takes fifteen keys and arguments, and some
servers refuse a call with 4,000."""
PAGE_BYTES = 512 * 1024
"""The size of a round trip: some 3 ms of Redis's time when every entry is changed. Entries
are measured as they come."""
LATEST = "9999"
"""Later than the time of any failure."""
FIRST_PAGE = 50
REMOVALS = 50
"""Entries per round trip that are removed from the middle of the list. To reach one among a million
takes Redis milliseconds, in which it serves no other client."""


@dataclass(frozen=True)
class FailedJob:
    """An entry as it was read: its place, its bytes, and the entry that these are.

    `entry` is None when they are no whole entry of any Resque; they are shown as they are.
    `list_name` names its list where each queue has one.
    """

    index: int
    raw: bytes
    entry: FailedEntry | None
    list_name: str = ""

    @property
    def failed_at(self) -> str:
        """By which entries of several shards are merged, the newest first; one that gives no time
        counts as failed with the one after it."""
        return self.shown_time if self.entry and self.entry.failed_at else LATEST

    @property
    def place(self) -> str:
        """Its index, behind the name of its list where there are several."""
        return f"{self.list_name}:{self.index}" if self.list_name else str(self.index)

    @property
    def item(self) -> dict[str, Any]:
        """The payload of the job that failed; empty when that is no JSON object."""
        found = self._field("payload")
        return payload.for_display(found) if isinstance(found, dict) else {}

    @property
    def job_id(self) -> str:
        """As text, from any type; empty for jobs of stock Resque."""
        return str(self.item.get("id") or "")

    @property
    def retried(self) -> bool:
        return bool(self._field("retried_at"))

    @property
    def shown_time(self) -> str:
        """When it failed: `2026/11/23 15:33:14 UTC`, whichever program wrote it; what is no time
        stays as it is."""
        return as_resque(self.text("failed_at"))

    def text(self, name: str) -> str:
        """A field as text, of any type; empty where the entry has none."""
        found = self._field(name)
        return found if isinstance(found, str) else "" if found is None else str(found)

    @property
    def backtrace(self) -> list[str]:
        """The innermost frame first."""
        found = self._field("backtrace")
        return [str(line) for line in found] if isinstance(found, list) else []

    def _field(self, name: str) -> Any:
        """Works also for an entry that lacks a field, which can still be retried."""
        return getattr(self.entry, name) if self.entry else self._fields().get(name)

    def _fields(self) -> dict[str, Any]:
        found = payload.loads(self.raw)
        return found if "raw" not in found else payload.loads(well_formed(self.raw))

    def as_dict(self) -> dict[str, Any]:
        """Every field that stands in Redis, unknown ones included, the index, and the name of the
        list where there are several. Keyword arguments stand beside the payload's `args`."""
        place: dict[str, Any] = {"index": self.index}
        if self.list_name:
            place["list"] = self.list_name
        fields, item = self._fields(), self.item
        if item:
            fields["payload"] = item
        return place | fields | place


def read_entry(index: int, raw: bytes, list_name: str = "") -> FailedJob:
    """An item of the list, an entry or not."""
    try:
        entry = decode_entry(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        entry = None
    return FailedJob(index, raw, entry, list_name)


Plan = FailedChange | str
"""The change of an entry; a text says why it stays as it is."""


class PageSize:
    """The number of entries to ask for, so that large ones hold up neither Redis nor this process:
    few at first, then as many as fill a page of the given bytes."""

    def __init__(self, first: int = FIRST_PAGE, page_bytes: int = PAGE_BYTES) -> None:
        self.entries = max(1, min(first, PAGE))
        self._bytes = page_bytes

    def saw(self, page: Sequence[bytes], more_bytes: int = 0) -> None:
        """A page was transferred, and `more_bytes` beside it."""
        average = (sum(map(len, page)) + more_bytes) / len(page) if page else 0
        fitting = int(self._bytes / average) if average else PAGE
        self.entries = max(1, min(fitting, 4 * self.entries, PAGE))


class FailedList:
    """A LIST of entries, numbered from 0, the oldest.

    New ones come at the end, so an index holds until an entry is removed or a command sweeps the
    list. A change of an entry checks that it still is the one that was read.
    """

    def __init__(self, store: Store, key: str, name: str = "") -> None:
        self._store = store
        self.key = key
        self.name = name

    def count(self) -> int:
        """How many entries there are."""
        return self._store.failed.count(self.key)

    def read(self, start: int, count: int) -> list[bytes]:
        """`count` entries from index `start` as they stand there, in one round trip."""
        return self._store.failed.page(self.key, start, count)

    def page(self, start: int, count: int) -> list[FailedJob]:
        """`count` entries from index `start`, in one round trip."""
        return [
            read_entry(i, raw, self.name) for i, raw in enumerate(self.read(start, count), start)
        ]

    def backwards(
        self, stop: int, first_page: int = FIRST_PAGE, page_bytes: int = PAGE_BYTES
    ) -> Iterator[tuple[int, bytes]]:
        """Index and entry of all before `stop`, the newest first."""
        size = PageSize(first_page, page_bytes)
        while stop > 0:
            start = max(stop - size.entries, 0)
            page = self.read(start, stop - start)
            yield from zip(range(start + len(page) - 1, start - 1, -1), reversed(page), strict=True)
            size.saw(page)
            stop = start

    def retry(self, jobs: Sequence[FailedJob]) -> list[bool]:
        """Put jobs back into their queues and mark their entries, each in one atomic step.

        False for an entry that is not in its place any more. Retrying a retried one runs the job
        once more. Raises InvalidPayload, before anything is done, when one names no job.
        """
        now = retried_at(time.time())
        return self._store.failed.retry(self.key, [_move(job, now) for job in jobs])

    def retry_as(self, job: FailedJob, retry: Retry) -> bool:
        """Push this in place of the job, and mark its entry, in one atomic step; False when that is
        not in its place any more."""
        move = FailedMove(
            job.index, job.raw, retry.marked, retry.queue, retry.item, retry.lock, retry.state
        )
        return self._store.failed.retry(self.key, [move])[0]

    def remove(self, jobs: Collection[FailedJob]) -> int:
        """Remove these entries, and no other; returns how many were still in their place."""
        entries = {job.index: job.raw for job in jobs}
        # From the end on: what is removed first shifts nothing that comes later.
        highest_first = sorted(entries.items(), reverse=True)
        return sum(
            self._store.failed.remove(self.key, highest_first[start : start + REMOVALS])
            for start in range(0, len(highest_first), REMOVALS)
        )

    def remove_oldest(self, count: int) -> int:
        """Remove that many entries, retried or not; returns how many there were."""
        removed = 0
        while removed < count:
            wanted = min(count - removed, PAGE)
            found = self._store.failed.trim(self.key, wanted)
            removed += found
            if found < wanted:
                break
        return removed

    def sweep(
        self, plan: Callable[[bytes], Plan], count: int, lock: SweepLock
    ) -> Generator[tuple[list[Plan], int]]:
        """Change the `count` oldest entries as `plan` says, page by page; yields the plans of each
        page when they are done, and how many jobs could not be pushed.

        Each page moves from the head of the list to its end; in between, indexes do not hold. When
        another client took entries from the head, the page is read again. Closed half way, it
        moves the rest as it is, so that the list is in its order again. Raises SweepLockLost.
        """
        left, size = count, PageSize()
        try:
            while left > 0:
                wanted = min(size.entries, CHANGES, left)
                page = self.read(0, wanted)
                if not page:
                    return
                plans = [plan(raw) for raw in page]
                changes = [
                    (place, change)
                    for place, change in enumerate(plans, 1)
                    if isinstance(change, FailedChange)
                ]
                refused = self._rewrite(lock, len(page), page[-1], changes)
                if refused is None:
                    continue
                size.saw(page, sum(_bytes_sent(change) for _, change in changes))
                left = left - wanted if len(page) == wanted else 0
                yield plans, refused
        except GeneratorExit:
            self._move_rest(left, size.entries, lock)
            raise

    def _move_rest(self, left: int, page: int, lock: SweepLock) -> None:
        while left > 0:
            count = min(page, left)
            if self._rewrite(lock, count, b"", []) is None:
                return  # another client removed entries: fewer are left than there were
            left -= count

    def _rewrite(
        self, lock: SweepLock, count: int, last: bytes, changes: list[tuple[int, FailedChange]]
    ) -> int | None:
        refused = self._store.failed.rewrite(self.key, lock.token, EXPIRY_MS, count, last, changes)
        if refused == -2:
            raise lock.lost()
        return None if refused < 0 else refused


def _bytes_sent(change: FailedChange) -> int:
    return len(change.entry) + len(change.kept) + len(change.item)


def _move(job: FailedJob, retried_at: str) -> FailedMove:
    try:
        retry = prepare_retry(job.raw, retried_at)
    except InvalidPayload as error:
        raise InvalidPayload(f"failed job {job.place} cannot be retried: {error}") from None
    return FailedMove(
        job.index, job.raw, retry.marked, retry.queue, retry.item, retry.lock, retry.state
    )
