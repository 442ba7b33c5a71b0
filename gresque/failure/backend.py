"""The failure backends that keep entries in Redis: reading them back, retrying, removing."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from gresque.clock import retried_at
from gresque.errors import InvalidPayload
from gresque.failure.failed_list import LATEST, PAGE_BYTES, FailedJob, FailedList, Plan, read_entry
from gresque.failure.failed_time import as_resque
from gresque.failure.progress import SILENT, Progress
from gresque.failure.retry import Retry, prepare_retry
from gresque.failure.search import EVERYTHING, Group, Wanted, glance
from gresque.failure.sweep_lock import SweepLock
from gresque.settings import one_list_each
from gresque.store.failed import FailedChange
from gresque.store.failed_list_name import failed_name
from gresque.store.store import Store

OTHERS = "not wanted"
RETRIED = "retried before"
NO_JOB = "names no job"
"""Why an entry stays as it is."""

STEP = 1000
"""Entries between two reports of a search's progress."""


class Retries(NamedTuple):
    """The result of `retry_all`. `refused` could not be retried: they name no job, or the key of
    their queue is of another type."""

    retried: int = 0
    retried_before: int = 0
    refused: int = 0

    def __add__(self, other: Retries) -> Retries:  # type: ignore[override]
        return Retries(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


@dataclass
class GroupCount:
    """The failures of a group, those of them that were retried, and the time of the last one."""

    count: int = 0
    retried: int = 0
    last_failed_at: str = ""


def merge_groups(found: Iterable[Mapping[Group, GroupCount]]) -> dict[Group, GroupCount]:
    """The groups of several shards as those of one, the largest first."""
    merged: dict[Group, GroupCount] = {}
    for groups in found:
        for key, group in groups.items():
            known = merged.setdefault(key, GroupCount())
            known.count += group.count
            known.retried += group.retried
            known.last_failed_at = max(known.last_failed_at, group.last_failed_at)
    return largest_first(merged)


def largest_first(groups: Mapping[Group, GroupCount]) -> dict[Group, GroupCount]:
    return dict(sorted(groups.items(), key=lambda item: -item[1].count))


class RedisBackend:
    """All failed jobs in one list, `resque:failed`: Resque's own backend.

    Nothing here ever holds the whole list: it is read in pages of half a megabyte, 1,000 entries
    at most, so that Redis serves others in between. `retry_all`, `remove_all` and `clear` sweep
    the list, one of them at a time: the second one waits. Each step is atomic: at any end,
    every job was either retried and marked, or neither.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    def lists(self, wanted: Wanted = EVERYTHING) -> list[FailedList]:
        """The lists in which such entries stand."""
        return [FailedList(self.store, self.store.keys.failed)]

    # Looking

    def count(self) -> int:
        """How many entries there are."""
        return sum(self.counts().values())

    def counts(self) -> dict[str, int]:
        """Name of the list -> how many entries it has; the one list has no name."""
        return {each.name: each.count() for each in self.lists()}

    def newest(
        self, offset: int = 0, count: int = 20, wanted: Wanted = EVERYTHING
    ) -> Iterator[FailedJob]:
        """`count` of the wanted entries, the newest first, after the `offset` newest ones."""
        if count <= 0:
            return
        lists = self.lists(wanted)
        if len(lists) == 1 and not wanted:
            stop = lists[0].count() - offset
            found = lists[0].backwards(stop, first_page=count)
            yield from (self._read(lists[0], *each) for each in islice(found, count))
            return
        for _, found_in, index, raw in islice(_merged(lists, wanted), offset, offset + count):
            yield self._read(found_in, index, raw)

    def scan(self, wanted: Wanted = EVERYTHING) -> Iterator[tuple[FailedList, int, bytes]]:
        """List, index and entry of all that are wanted, the newest first. Of one list nothing is
        decoded where all are wanted."""
        lists = self.lists(wanted)
        if len(lists) == 1 and not wanted:
            yield from ((lists[0], *found) for found in lists[0].backwards(lists[0].count()))
            return
        for _, each, index, raw in _merged(lists, wanted):
            yield each, index, raw

    def _read(self, found_in: FailedList, index: int, raw: bytes) -> FailedJob:
        return read_entry(index, raw, found_in.name)

    def find(self, index: int, list_name: str = "") -> FailedJob | None:
        """The entry at `index` of the list with this name."""
        for each in self.lists():
            if each.name == list_name:
                return next(iter(each.page(index, 1)), None)
        return None

    def find_ids(self, job_ids: Collection[str]) -> dict[str, FailedJob]:
        """Job id -> its newest entry. Reads from the newest entry on until all are found."""
        wanted = {job_id: job_id.encode("utf-8", "surrogateescape") for job_id in job_ids}
        found: dict[str, FailedJob] = {}
        for each in self.lists():
            missing = dict(wanted)
            for index, raw in each.backwards(each.count()):
                for job_id, text in list(missing.items()):
                    # Decoding is the slow part, and nearly every other entry is ruled out by its
                    # bytes.
                    if text in raw and (job := self._read(each, index, raw)).job_id == job_id:
                        known = found.get(job_id)
                        if known is None or _age(known) < _age(job):
                            found[job_id] = job
                        del missing[job_id]
                if not missing:
                    break
        return found

    def groups(
        self, wanted: Wanted = EVERYTHING, progress: Progress = SILENT
    ) -> dict[Group, GroupCount]:
        """The wanted entries counted by class, exception and queue, the largest group first."""
        groups: dict[Group, GroupCount] = {}
        for raw in self._walk(wanted, progress):
            seen = glance(raw)
            if not wanted.matches(seen, raw):
                continue
            key = Group(seen.job_class, seen.exception, seen.queue)
            group = groups.get(key) or groups.setdefault(key, GroupCount())
            group.count += 1
            group.retried += bool(seen.retried_at)
            group.last_failed_at = max(group.last_failed_at, as_resque(seen.failed_at or ""))
        return largest_first(groups)

    def _walk(self, wanted: Wanted, progress: Progress) -> Iterator[bytes]:
        sizes = [(each, each.count()) for each in self.lists(wanted)]
        total, done = sum(size for _, size in sizes), 0
        for each, size in sizes:
            for _, raw in each.backwards(size):
                yield raw
                done += 1
                if done % STEP == 0 and not progress.advanced(done, total):
                    return
        progress.advanced(done, total)

    # Retrying and removing what is named

    def retry(self, jobs: Sequence[FailedJob]) -> list[bool]:
        """Put jobs back into their queues and mark their entries, each in one atomic step.

        False for an entry that is not in its place any more. Retrying a retried one runs the job
        once more. Raises InvalidPayload, before anything is done, when one names no job.
        """
        for job in jobs:
            check_retry(job)
        done: dict[str, bool] = {}
        for each, own in self._by_list(jobs):
            done |= zip((job.place for job in own), each.retry(own), strict=True)
        return [done.get(job.place, False) for job in jobs]

    def retry_as(self, job: FailedJob, retry: Retry) -> bool:
        """Push this in place of the job, and mark its entry, in one atomic step; False when that is
        not in its place any more."""
        return any(each.retry_as(job, retry) for each in self.lists() if each.name == job.list_name)

    def remove(self, jobs: Collection[FailedJob]) -> int:
        """Remove these entries, and no other; returns how many were still in their place."""
        return sum(each.remove(own) for each, own in self._by_list(jobs))

    def _by_list(self, jobs: Collection[FailedJob]) -> Iterator[tuple[FailedList, list[FailedJob]]]:
        for each in self.lists():
            own = [job for job in jobs if job.list_name == each.name]
            if own:
                yield each, own

    # Sweeping

    def retry_all(self, wanted: Wanted = EVERYTHING, progress: Progress = SILENT) -> Retries:
        """Retry, oldest first, every wanted entry that stands here now and was not retried before.

        Jobs that fail again meanwhile wait for the next call, or the sweep would not end. Raises
        SweepLockLost.
        """
        now = retried_at(time.time())
        total = Retries()
        for plans, refused in self._sweep(
            lambda raw: _plan_retry(raw, wanted, now), wanted, progress
        ):
            pushes = sum(isinstance(plan, FailedChange) for plan in plans)
            total += Retries(pushes - refused, plans.count(RETRIED), plans.count(NO_JOB) + refused)
        return total

    def remove_all(self, wanted: Wanted, progress: Progress = SILENT) -> int:
        """Remove the wanted entries that stand here now, retried or not; returns how many."""
        return self._drop(lambda raw: wanted.matches(glance(raw), raw), wanted, progress)

    def clear(self, progress: Progress = SILENT) -> int:
        """Remove the entries that were retried; returns how many."""
        return self._drop(lambda raw: bool(glance(raw).retried_at), EVERYTHING, progress)

    def remove_oldest(self, counts: dict[str, int]) -> int:
        """Remove as many of the oldest entries of each list, retried or not; returns how many there
        were."""
        removed = 0
        with SweepLock(self.store, SILENT):
            for each in self.lists():
                removed += each.remove_oldest(counts.get(each.name, 0))
        return removed

    def _drop(self, is_wanted: Callable[[bytes], bool], wanted: Wanted, progress: Progress) -> int:
        def plan(raw: bytes) -> Plan:
            return FailedChange(raw, b"") if is_wanted(raw) else OTHERS

        return sum(
            isinstance(plan, FailedChange)
            for plans, _ in self._sweep(plan, wanted, progress)
            for plan in plans
        )

    def _sweep(
        self, plan: Callable[[bytes], Plan], wanted: Wanted, progress: Progress
    ) -> Iterator[tuple[list[Plan], int]]:
        with SweepLock(self.store, progress) as lock:
            if not lock.held:
                return
            sizes = [(each, each.count()) for each in self.lists(wanted)]
            total, done = sum(size for _, size in sizes), 0
            for each, size in sizes:
                with closing(each.sweep(plan, size, lock)) as pages:
                    for plans, refused in pages:
                        done += len(plans)
                        yield plans, refused
                        if not progress.advanced(done, total):
                            return


class RedisMultiQueueBackend(RedisBackend):
    """A list of failed jobs for each queue, `resque:<queue>_failed`, as the Ruby fork's backend of
    this name has it. Entries of all lists are shown together, by the time of their failure."""

    def lists(self, wanted: Wanted = EVERYTHING) -> list[FailedList]:
        store = self.store
        names = store.failed.names()
        if wanted.queue is not None:
            names = [name for name in names if name == failed_name(wanted.queue)]
        return [FailedList(store, store.keys.failed_list(name), name) for name in names]

    def counts(self) -> dict[str, int]:
        names = self.store.failed.names()
        return dict(zip(names, self.store.failed.counts(names), strict=True))


def open_backend(setting: str, store: Store) -> RedisBackend:
    """The backend from which failed jobs are read, as `FAILURE_BACKEND` says."""
    return RedisMultiQueueBackend(store) if one_list_each(setting) else RedisBackend(store)


Aged = tuple[str, FailedList, int, bytes]


def _merged(lists: Sequence[FailedList], wanted: Wanted) -> Iterator[Aged]:
    share = PAGE_BYTES // max(len(lists), 1)
    return heapq.merge(
        *(_by_age(each, wanted, share) for each in lists), key=lambda found: found[0], reverse=True
    )


def _by_age(each: FailedList, wanted: Wanted, page_bytes: int) -> Iterator[Aged]:
    """When it failed, and where it stands. An entry without a time counts as failed with the one
    after it."""
    failed_at = LATEST
    for index, raw in each.backwards(each.count(), page_bytes=page_bytes):
        seen = glance(raw)
        failed_at = as_resque(seen.failed_at) if seen.failed_at else failed_at
        if wanted.matches(seen, raw):
            yield failed_at, each, index, raw


def _age(job: FailedJob) -> str:
    return as_resque(job.entry.failed_at) if job.entry else ""


def check_retry(job: FailedJob) -> None:
    """Raises InvalidPayload where an entry names no job."""
    try:
        prepare_retry(job.raw, "")
    except InvalidPayload as error:
        raise InvalidPayload(f"failed job {job.place} cannot be retried: {error}") from None


def _plan_retry(raw: bytes, wanted: Wanted, retried_at: str) -> Plan:
    seen = glance(raw)
    if not wanted.matches(seen, raw):
        return OTHERS
    if seen.retried_at:
        return RETRIED
    try:
        retry = prepare_retry(raw, retried_at)
    except InvalidPayload:
        return NO_JOB
    return FailedChange(raw, retry.marked, retry.queue, retry.item, retry.lock, retry.state)
