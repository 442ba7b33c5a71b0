"""An index of the failed jobs in memory, which answers what a page asks without reading a list."""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import redis

from gresque.failure.backend import RedisBackend
from gresque.failure.failed_list import FailedJob, FailedList, PageSize, read_entry
from gresque.failure.search import EVERYTHING, Wanted
from gresque.inspector.failed_groups import FailedGroup, GroupTable
from gresque.inspector.failed_rows import FailedRows, Gap
from gresque.logs import fields
from gresque.store.failed_changes import NO_CHANGE, FailedLook
from gresque.store.store import Store

log = logging.getLogger("gresque.inspector")

LOOK_SECONDS = 1.0
IDLE_SECONDS = 60.0
"""When nobody has asked for this long, the index is not kept up to date."""
FORGET_SECONDS = 3600.0
"""After this time without a look it is built again."""
NEAR = 20
"""Entries that are this close to each other are read together."""


@dataclass(frozen=True)
class IndexProgress:
    """How much of the failed jobs is counted. `is_away` while Redis does not answer."""

    read: int
    total: int
    is_away: bool = False

    @property
    def is_complete(self) -> bool:
        return self.read == self.total

    @property
    def percent(self) -> int:
        """Of what is to be read, rounded down."""
        return 100 if self.is_complete else self.read * 100 // self.total


@dataclass(frozen=True)
class FailedPage:
    """Some failed jobs, the newest first. `total` is how many are known of those that were asked
    for, `has_more` whether further ones follow."""

    jobs: tuple[FailedJob, ...]
    total: int
    has_more: bool


class FailedIndex:
    """The group and the minute of every failed job, in six bytes each.

    1. The first question starts a thread, which reads the lists from their newest entries on, a
       page at a time. Answers are right for what it has read: `progress` says how much that is.
    2. It looks each second at the lengths of the lists and at the stream `failed_changes`, and
       follows what came and what was retried or removed. A list that shrank or shifted otherwise
       is read again: a program in another language has changed it.
    3. A minute after the last question it stops looking, and with the next one it catches up.

    The lists remain the truth: a page's entries are read from there, and who acts on one gives its
    bytes. Greenlets and threads may share an index.
    """

    def __init__(self, store: Store, backend: RedisBackend) -> None:
        self._store = store
        self._backend = backend
        self.version = 0
        """Changes with every answer that changes."""
        self._lock = threading.Lock()
        self._asked = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._asked_at = 0.0
        self._looked_at = 0.0
        self._is_away = False
        self._table = GroupTable()
        self._rows: dict[str, FailedRows] = {}
        self._since = NO_CHANGE
        self._page_size = PageSize()

    # Questions

    def progress(self) -> IndexProgress:
        self._wake()
        with self._lock:
            total = sum(map(len, self._rows.values()))
            unread = sum(rows.unread for rows in self._rows.values())
        return IndexProgress(total - unread, total, self._is_away)

    def groups(self, wanted: Wanted = EVERYTHING) -> list[FailedGroup]:
        """The groups that are wanted, the largest first, as far as they are counted."""
        self._wake()
        with self._lock:
            return [each for each in self._table.all() if each.key.matches(wanted)]

    def page(self, wanted: Wanted = EVERYTHING, offset: int = 0, count: int = 50) -> FailedPage:
        """`count` of the wanted jobs after the `offset` newest ones; the text of `wanted` is not
        looked at. Raises redis-py's errors."""
        self._wake()
        with self._lock:
            numbers = None if not wanted else self._table.matching(wanted)
            groups = [each for each in self._table.all() if each.key.matches(wanted)]
            merged = heapq.merge(*(_by_age(rows, numbers) for rows in self._rows.values()))
            found = [(key, -index) for _, key, index in islice(merged, offset, offset + count + 1)]
            names = {rows.key: rows.name for rows in self._rows.values()}
        jobs = self._read(found[:count], names)
        matching = tuple(job for job in jobs if self._matches(job, numbers))
        return FailedPage(matching, sum(each.count for each in groups), len(found) > count)

    def _matches(self, job: FailedJob, numbers: frozenset[int] | None) -> bool:
        """The list may have changed since the index looked."""
        if numbers is None:
            return True
        with self._lock:
            return self._table.read(job.raw)[0] in numbers

    def _read(self, places: Sequence[tuple[str, int]], names: dict[str, str]) -> list[FailedJob]:
        """The entries at these places, in one round trip; those close together by one command."""
        spans: dict[str, list[list[int]]] = {}
        for key, index in sorted(places):
            own = spans.setdefault(key, [])
            if own and index - own[-1][-1] <= NEAR:
                own[-1].append(index)
            else:
                own.append([index])
        reads = self._store.reads()
        none: list[bytes] = []
        asked = [
            (key, span, reads.ask(none, "LRANGE", key, span[0], span[-1]))
            for key, all_spans in spans.items()
            for span in all_spans
        ]
        reads.run()
        found = {
            (key, index): reply.value[index - span[0]]
            for key, span, reply in asked
            for index in span
            if index - span[0] < len(reply.value)
        }
        return [
            read_entry(index, found[key, index], names[key])
            for key, index in places
            if (key, index) in found
        ]

    def wait(self, seconds: float) -> IndexProgress:
        """Give the index some time, but for no longer than it needs to read everything."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            progress = self.progress()
            if self._looked_at and progress.is_complete:
                break
            time.sleep(0.01)
        return self.progress()

    def close(self) -> None:
        """End the thread, which may finish its current step first."""
        self._closed = True
        self._asked.set()

    # The thread

    def _wake(self) -> None:
        self._asked_at = time.monotonic()
        self._asked.set()
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._run, name="failed index", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._closed:
            if time.monotonic() - self._asked_at > IDLE_SECONDS:
                self._asked.clear()
                self._asked.wait()
                continue
            self._follow()
            time.sleep(LOOK_SECONDS)

    def _follow(self) -> None:
        try:
            self.follow()
        except redis.RedisError as error:
            if not self._is_away:
                log.warning(
                    "the index of failed jobs waits for Redis: %s", error,
                    extra=fields("failed_index_waits", error=str(error)),
                )  # fmt: skip
                self.version += 1
            self._is_away = True
        else:
            self.version += self._is_away
            self._is_away = False

    def follow(self) -> None:
        """Look once, and read all that is not known yet. Raises redis-py's errors."""
        self._look()
        while not self._closed and self._step():
            time.sleep(0)  # others have their turn

    def _look(self) -> None:
        """At the lengths of all lists, and at what changed."""
        now = time.monotonic()
        if not self._looked_at or now - self._looked_at > FORGET_SECONDS:
            self._since = self._store.failed_changes.last()
            self._forget(self._rows)
        lists = {each.key: each for each in self._backend.lists()}
        look = self._store.failed_changes.look(self._since, [*lists])
        with self._lock:
            self._take_changes(look)
            for key, length in zip(lists, look.lengths, strict=True):
                self._take_length(self._rows_of(lists[key]), length)
            for key in self._rows.keys() - lists.keys():
                self._rows.pop(key).forget()
        self._looked_at = now

    def _step(self) -> bool:
        """Read a page of what is not known; False when there is nothing left."""
        rows = max(
            (each for each in self._rows.values() if each.gaps), key=lambda each: each.unread,
            default=None,
        )  # fmt: skip
        if rows is None:
            return False
        gap = rows.gaps[-1]
        start = max(gap.stop - self._page_size.entries, gap.start)
        # The entry before the gap is read, too: if it is another one, the list has shifted.
        more = int(start == gap.start and gap.before is not None)
        look = self._store.failed_changes.look(
            self._since, [rows.key], (rows.key, start - more, gap.stop - start + more)
        )
        with self._lock:
            self._take_page(rows, gap, look, more)
        self._page_size.saw(look.page)
        return True

    def _take_page(self, rows: FailedRows, gap: Gap, look: FailedLook, more: int) -> None:
        if look.changes or not look.is_complete:
            self._take_changes(look)
            return  # the page is of other indexes
        self._take_length(rows, look.lengths[0])
        if gap not in rows.gaps:
            return
        self.version += 1
        page = look.page[more:]
        shifted = more and look.page and hash(look.page[0]) != gap.before
        if shifted:
            rows.forget()
            rows.grow(look.lengths[0])
        else:
            rows.fill(gap, page)

    def _take_changes(self, look: FailedLook) -> None:
        self._since = look.last_change
        self.version += bool(look.changes)
        if not look.is_complete:
            self._forget(self._rows)
            return
        for change in look.changes:
            rows = self._rows.get(change.key)
            if rows is not None and not rows.apply(change):
                rows.forget()

    def _rows_of(self, found: FailedList) -> FailedRows:
        rows = self._rows.get(found.key)
        if rows is None:
            rows = self._rows[found.key] = FailedRows(found.key, found.name, self._table)
        return rows

    def _take_length(self, rows: FailedRows, length: int) -> None:
        if length == len(rows):
            return
        self.version += 1
        if length < len(rows):
            rows.forget()
        rows.grow(length)

    def _forget(self, rows: dict[str, FailedRows]) -> None:
        for each in rows.values():
            each.forget()


def _by_age(rows: FailedRows, numbers: frozenset[int] | None) -> Iterator[tuple[int, str, int]]:
    """The newest first, in the order of their negative minutes."""
    return ((-minute, rows.key, -index) for minute, index in rows.newest(numbers))
