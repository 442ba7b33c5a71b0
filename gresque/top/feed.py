"""What the screen is fed with: snapshots, and what the rows on it need. Its calls block."""

from __future__ import annotations

import time
from collections.abc import Sequence

from redis.exceptions import RedisError

from gresque.errors import RedisUnavailable
from gresque.failure.backend import RedisBackend
from gresque.inspector.collector import Collector
from gresque.inspector.failed_groups import FailedGroup
from gresque.inspector.failed_index import FailedIndex, IndexProgress
from gresque.inspector.merged_collector import AnyCollector
from gresque.inspector.recoveries import LoggedRecovery
from gresque.inspector.running import RunningJob
from gresque.inspector.running_page import read_jobs
from gresque.inspector.snapshot import Published, Snapshot
from gresque.store.store import Store
from gresque.top.state import Known, Place

NEXT_SECONDS = 1.0
GROWTH_SECONDS = 4.0
"""The growth of a late queue is measured over this time."""
RECOVERIES = 20


def known_of(row: Published, job: RunningJob) -> Known:
    """What a row shows of the job that was read for it."""
    job_id = job.item.get("id")
    return Known(row.since, job.label, job.queue, None if job_id is None else str(job_id))


class Feed:
    """Reads for the screen. While Redis is away it returns nothing, and the screen stays."""

    def __init__(self, store: Store, backend: RedisBackend, failure_backend: str) -> None:
        self.store = store
        self.collector: AnyCollector = Collector(store, failure_backend)
        self._index = FailedIndex(store, backend)

    def settled(self) -> Snapshot:
        """The one to print: the second, which has rates; where a queue is late, one after some
        seconds, which says whether it grows. Raises RedisUnavailable."""
        until = time.monotonic() + GROWTH_SECONDS
        found = self._after(self.collector.last())
        while found.queues_in_time < len(found.queues) and time.monotonic() < until:
            found = self._after(found)
        return found

    def _after(self, found: Snapshot) -> Snapshot:
        return self.collector.after(found.number, NEXT_SECONDS) or found

    def next(self, number: int, *, jobs: bool, waits: bool) -> Snapshot | None:
        """The snapshot after this one; None where none comes within a second."""
        return self.collector.after(number, NEXT_SECONDS, jobs=jobs, waits=waits)

    def with_jobs(self, otherwise: Snapshot) -> Snapshot:
        """A snapshot that has the jobs in flight, as soon as there is one."""
        try:
            return self.collector.last(NEXT_SECONDS, jobs=True)
        except RedisUnavailable:
            return otherwise

    @property
    def trouble(self) -> str:
        found = self.collector.trouble
        return found.reason if found is not None else ""

    def jobs(self, snapshot: Snapshot, rows: Sequence[Published]) -> list[RunningJob]:
        """The jobs of these rows that still run. Raises RedisUnavailable."""
        try:
            return read_jobs(self.store, snapshot, rows)
        except (RedisError, OSError):
            raise RedisUnavailable("Redis does not answer") from None

    def known(self, snapshot: Snapshot, rows: Sequence[Published]) -> dict[Place, Known]:
        """What rows show of these jobs."""
        try:
            found = self.jobs(snapshot, rows)
        except RedisUnavailable:
            return {}
        by_place = {row.place: row for row in rows}
        places = [(job.process, job.slot) for job in found]
        return {
            place: known_of(by_place[place], job)
            for place, job in zip(places, found, strict=True)
            if place in by_place
        }

    def groups(self) -> tuple[list[FailedGroup], IndexProgress]:
        """The groups of failed jobs, as far as they are counted."""
        return self._index.groups(), self._index.progress()

    def recoveries(self) -> list[LoggedRecovery]:
        try:
            return LoggedRecovery.newest(self.store, RECOVERIES)
        except (RedisError, OSError):
            return []

    def close(self) -> None:
        self._index.close()
        self.collector.close()
