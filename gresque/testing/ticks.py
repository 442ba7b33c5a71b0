"""Schedules in a fake: the ticks of the declared entries, while its clock is moved."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import takewhile

from gresque.client.when import Delay, delay
from gresque.schedule.declared import declared
from gresque.schedule.entry import Entry
from gresque.store.unique_job import Terms, UniqueJob
from gresque.testing.clock import TestClock
from gresque.testing.locks import DAY_MS
from gresque.testing.waiting import Waiting

MOST_TICKS = 10_000


def enqueue_ticks(waiting: Waiting, clock: TestClock, by: Delay) -> None:
    """Move the clock forwards, and enqueue the job of each tick on the way at its time."""
    start = int(clock.now() * 1000)
    end = start + round(delay(by).seconds * 1000)
    for done, (tick, entry) in enumerate(_ticks(start, end)):
        if done >= MOST_TICKS:
            raise AssertionError(
                f"the schedules have over {MOST_TICKS:,} ticks in that time; advance by less, or "
                "leave out cron=True"
            )
        clock.advance(max(tick / 1000 - clock.now(), 0.0))
        waiting.promote()
        _enqueue(waiting, entry, tick)
    clock.advance(max(end / 1000 - clock.now(), 0.0))


def _ticks(start: int, end: int) -> Iterator[tuple[int, Entry]]:
    def of(entry: Entry) -> Iterator[tuple[int, Entry]]:
        return (
            (tick, entry) for tick in takewhile(lambda t: t <= end, entry.schedule.after(start))
        )

    entries = [entry for entry in declared if entry.enabled]
    return heapq.merge(*map(of, entries), key=lambda pair: pair[0])


def _enqueue(waiting: Waiting, entry: Entry, tick: int) -> None:
    made = entry.make_job(tick, tick / 1000)
    if made is None:  # an enqueue middleware left it out
        return
    job_id, raw = made
    if entry.lock is None or entry.lock[1] == "running":
        waiting.push(entry.queue, [raw])
        return
    digest, mode, key = entry.lock
    terms = Terms("in", mode, "drop", entry.job, DAY_MS)
    waiting.enqueue(entry.queue, terms, [UniqueJob(job_id, 0, key, digest, raw)])
