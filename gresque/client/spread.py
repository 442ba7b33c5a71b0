"""New jobs on several shards: which shard gets which, and what happens while one is away.

In the place of the store of one server: it has the three doors by which new jobs enter one.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from gresque.errors import NotEnqueued, PerhapsEnqueued
from gresque.shards import Placement, Shard, by_key

if TYPE_CHECKING:
    from gresque.store.later_job import Times
    from gresque.store.store import Store
    from gresque.store.track import Track
    from gresque.store.unique_job import Terms, UniqueJob

LEFT_OUT_SECONDS = 1.0
"""For this time a shard that refused gets no job that another one may take."""
MOST_LEFT_OUT_SECONDS = 10.0
"""The same for one that was silent: ten times as long as it was silent, at most this."""
OPENING_SECONDS = 1.0
"""A connection to a shard that takes longer to open is given up, and the job goes to another."""
SLOW_SECONDS = 0.25
"""A shard that has not answered a push for this time gets no further one that another may take."""

T = TypeVar("T")
Open = Callable[[Shard, bool], "Store"]
"""The store of a shard; True: one that tries again for `retry_seconds`."""


class _Lane:
    """A shard that takes new jobs, and how it has answered lately."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self.answered_at = 0.0
        self._left_out_until = 0.0
        self._in_doubt = False
        """It refused last: one push at a time tries it."""
        self._under_way: dict[object, float] = {}
        """Token of a push -> when it began, the oldest first."""

    def may_take(self, now: float) -> bool:
        under_way = self._under_way
        if not under_way:
            return now >= self._left_out_until
        if self._in_doubt:
            return False
        try:
            oldest = next(iter(under_way.values()))
        except (StopIteration, RuntimeError):  # another thread has taken out the last one
            return True
        return now - oldest < SLOW_SECONDS

    def call(self, push: Callable[[Store], T], store: Store, now: float) -> T:
        token = object()
        self._under_way[token] = now
        try:
            found = push(store)
        except (NotEnqueued, PerhapsEnqueued):
            failed_at = time.monotonic()
            left_out = min(MOST_LEFT_OUT_SECONDS, 10 * (failed_at - now))
            self._left_out_until = failed_at + max(LEFT_OUT_SECONDS, left_out)
            self._in_doubt = True
            raise
        finally:
            del self._under_way[token]
        self.answered_at, self._in_doubt = now, False
        return found


class Spread:
    """Places new jobs; greenlets, threads and tasks may share one.

    A job whose queue or key belongs to one shard goes there, and waits for it. Any other goes to
    the next shard of a round; one that refuses it, or is silent, is left out for a while, and the
    job goes to another. It never does where it is not certain that the first has not got it.
    """

    def __init__(self, placement: Placement, store_of: Open) -> None:
        self.placement = placement
        self._store_of = store_of
        self._make_lanes()
        self._round = count(random.randrange(len(self._lanes)))
        self.enqueuer = self.scheduler = self.unique_enqueuer = self

    def _make_lanes(self) -> None:
        self._pid = os.getpid()
        self._lanes = [_Lane(shard) for shard in self.placement.shards if not shard.drains]

    def push(self, queue: str, raws: Sequence[bytes]) -> Any:
        """As `Enqueuer.push`."""
        return self._place(queue, lambda store: store.enqueuer.push(queue, raws))

    def schedule(self, queue: str, ids: Sequence[str], raws: Sequence[bytes], times: Times) -> None:
        """As `Scheduler.schedule`."""
        self._place(queue, lambda store: store.scheduler.schedule(queue, ids, raws, times))

    def enqueue(
        self, queue: str, terms: Terms, jobs: Sequence[UniqueJob], track: Track | None = None
    ) -> list[str | None]:
        """As `UniqueEnqueuer.enqueue`, in one round trip to each shard that the keys belong to.
        Where one fails, the error has the ids of the jobs that others have taken."""
        shard = self.placement.of(queue)
        if shard is not None:
            return self._store_of(shard, True).unique_enqueuer.enqueue(queue, terms, jobs, track)
        places: dict[Shard, list[int]] = {}
        for position, job in enumerate(jobs):
            places.setdefault(by_key(self.placement.shards, job.digest), []).append(position)
        holders: list[str | None] = [None] * len(jobs)
        done: list[str] = []
        for shard, positions in places.items():
            some = [jobs[position] for position in positions]
            of_some = None if track is None else track._replace(ids=[job.job_id for job in some])
            store = self._store_of(shard, True)
            try:
                found = store.unique_enqueuer.enqueue(queue, terms, some, of_some)
            except (NotEnqueued, PerhapsEnqueued) as error:
                error.enqueued_ids = tuple(done)
                raise
            for position, holder in zip(positions, found, strict=True):
                holders[position] = holder
            done += [j.job_id for j, holder in zip(some, found, strict=True) if holder is None]
        return holders

    def _place(self, queue: str, push: Callable[[Store], T]) -> T:
        shard = self.placement.of(queue)
        if shard is not None:
            return push(self._store_of(shard, True))
        if self._pid != os.getpid():  # the pushes that were under way are the parent's
            self._make_lanes()
        tried: set[_Lane] = set()
        while (lane := self._next(tried)) is not None:
            try:
                return lane.call(push, self._store_of(lane.shard, False), time.monotonic())
            except NotEnqueued:
                tried.add(lane)
        # All have refused: the one that answered last is waited for.
        lane = max(self._lanes, key=lambda lane: lane.answered_at)
        return lane.call(push, self._store_of(lane.shard, True), time.monotonic())

    def store_of(self, queue: str, key: str) -> Store:
        """The store of the one shard of a queue, or else of a key."""
        shard = self.placement.of(queue) or by_key(self.placement.shards, key)
        return self._store_of(shard, True)

    def _next(self, tried: set[_Lane]) -> _Lane | None:
        now, lanes = time.monotonic(), self._lanes
        lane = lanes[next(self._round) % len(lanes)]
        if not tried and lane.may_take(now):
            return lane
        others = [each for each in lanes if each not in tried and each.may_take(now)]
        return random.choice(others) if others else None
