"""Jobs that wait for their time, page by page: delayed ones, and those that are to be tried again.

Both stand in one sorted set. A page goes through it from a position and passes over jobs of the
other kind, up to a bound, so that it costs the same whatever waits there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from gresque.client.delayed import DelayedJob, DelayedJobs
from gresque.inspector.retries import WaitingRetry, read_retry
from gresque.store.store import Store

LOOKED_AT = 5000
"""Jobs that one page reads at most."""
_STEP = 250

T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """`total` counts all that wait for their time, of both kinds. `looked_at` of them were read
    from position `start` on; `next` is where the next page begins, None at the end."""

    rows: Sequence[T]
    start: int
    looked_at: int
    next: int | None
    total: int
    now: float


def delayed_page(
    store: Store,
    start: int = 0,
    count: int = 50,
    matches: Callable[[DelayedJob], bool] = lambda job: True,
) -> Page[DelayedJob]:
    """Those that are only delayed, those of Ruby, Node and PHP programs included, the next due one
    first. Where such programs have delayed jobs, a page far from the start reads all before it."""

    def wanted(job: DelayedJob) -> DelayedJob | None:
        return job if read_retry(job) is None and matches(job) else None

    jobs = DelayedJobs(store)
    has_others = any(each.size for each in store.delayed.lists())
    return _page(
        jobs, _each(jobs, start) if has_others else _own(jobs, start), start, count, wanted
    )


def retries_page(
    store: Store,
    start: int = 0,
    count: int = 50,
    matches: Callable[[WaitingRetry], bool] = lambda each: True,
) -> Page[WaitingRetry]:
    """Those that wait to run again, the next one first."""

    def wanted(job: DelayedJob) -> WaitingRetry | None:
        found = read_retry(job)
        return found if found is not None and matches(found) else None

    jobs = DelayedJobs(store)
    return _page(jobs, _own(jobs, start), start, count, wanted)


def _own(jobs: DelayedJobs, start: int) -> Iterator[tuple[int, DelayedJob]]:
    """Jobs in `later`, each with the position after it."""
    while found := jobs.own_page(start, _STEP):
        yield from enumerate(found, start + 1)
        start += _STEP


def _each(jobs: DelayedJobs, start: int) -> Iterator[tuple[int, DelayedJob]]:
    return enumerate(islice(jobs.each(), start, None), start + 1)


def _page(
    jobs: DelayedJobs,
    each: Iterator[tuple[int, DelayedJob]],
    start: int,
    count: int,
    wanted: Callable[[DelayedJob], T | None],
) -> Page[T]:
    total, now = jobs.count(), jobs.now()
    rows: list[T] = []
    position = start
    for position, job in each:
        row = wanted(job)
        if row is not None:
            rows.append(row)
        if len(rows) >= count or position - start >= LOOKED_AT:
            break
    else:
        return Page(rows, start, position - start, None, total, now)
    following = position if position < total else None
    return Page(rows, start, position - start, following, total, now)
