"""The jobs whose ids end with a few digits, as lists show them. Bounded."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from gresque.client.delayed import DelayedJobs
from gresque.client.job_search import MOST_LOOKED_AT
from gresque.failure.failed_list import FailedList, read_entry
from gresque.jobs import payload
from gresque.processes.short_names import has_id
from gresque.store.store import Store
from gresque.text import encoded


def ids_ending(store: Store, end: str) -> list[str]:
    """Of jobs in flight and delayed, of the next MOST_LOOKED_AT of each queue, and of the last
    failed ones. A tracked job that has ended is known by its whole id alone."""
    wanted = encoded(end)
    raws = (raw for raw in _each_raw(store, end) if wanted in raw)
    ids = [*map(payload.id_of, raws), *_failed(store, wanted)]
    return [*dict.fromkeys(str(each) for each in ids if has_id(each, end))]


def _each_raw(store: Store, end: str) -> Iterator[bytes]:
    for held in store.processes.find_held(store.processes.ids(), end):
        yield held.entry.raw
    for job in islice(DelayedJobs(store).each_own(), MOST_LOOKED_AT):
        yield job.raw
    for queue in store.queues.names():
        yield from islice(store.queues.each(queue), MOST_LOOKED_AT)


def _failed(store: Store, wanted: bytes) -> Iterator[str | None]:
    names = store.failed.names()
    keys = [store.keys.failed, *map(store.keys.failed_list, names)]
    for key in keys:
        found = FailedList(store, key)
        for index, raw in islice(found.backwards(found.count()), MOST_LOOKED_AT):
            if wanted in raw:
                yield read_entry(index, raw).job_id
