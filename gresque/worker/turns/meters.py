"""The meters of a worker process, and how their counts come to Redis."""

from __future__ import annotations

import os
from collections.abc import Sequence
from time import time
from typing import Any

from gresque.jobs.definition import JobDefinition
from gresque.jobs.meter import NO_METER, Meter
from gresque.jobs.waiting import waits_since
from gresque.processes.sums import SIZE, SharedSums, Sums
from gresque.store.effects import Effect
from gresque.store.keys import Keys
from gresque.store.ledger import Totals
from gresque.store.metric_fields import OTHERS, bucket_of, counts_of, field, hashes_of
from gresque.unpatched import original

BRIEF = 16
BRIEF_JOBS = 10
"""A process that ends after this many jobs, or fewer, is brief."""
MOST_METERS = 500
"""Pairs of a queue and a class that a process counts; those that it meets beyond count together."""
FIELDS_A_SECOND = 50
"""A process with more of them writes those of its meters less often, up to every 10 s: an update
costs the server about a microsecond."""
LATE_SECONDS = 2
"""Counts that no turn has taken by then are left to the maintenance process."""
MOST_WAITS = 1000
"""Queues and buckets of waiting times."""
SAMPLE_SECONDS = 0.005
"""To read a waiting time takes as long as to run several short jobs."""
MOST_SAMPLED_BYTES = 10_000
"""No waiting time is read out of a longer payload."""

NO_TOTALS = Totals()
_new_lock: Any = original("_thread", "allocate_lock")


class Meters:
    """Counts what ends in a process. Its counts go one of two ways:

    1. A turn takes them, the first one of a second, and the script that settles adds them up:
       exactly once, as it settles.
    2. Where no turn comes, as while long jobs run or the process leaves, they are left in memory
       for the maintenance process (see `SharedSums`).
    """

    def __init__(
        self,
        keys: Keys,
        totals: Totals = NO_TOTALS,
        shared: SharedSums | None = None,
        *,
        enabled: bool = False,
        brief: bool = False,
    ) -> None:
        """`totals` are those with which the process begins: they are not its own work. Of `brief`
        processes one of BRIEF reads waiting times, for all of them: to touch that code for the
        first time costs a process that was just forked more than to run it."""
        self.enabled = enabled
        self._weight = BRIEF if brief else 1
        self._samples = enabled and not (brief and os.getpid() % BRIEF)
        self._keys = keys
        self._shared = shared
        self._meters: dict[tuple[str, str], Meter] = {}
        self._waits: dict[tuple[str, int], int] = {}
        self._written_waits: dict[tuple[str, int], int] = {}
        self._sampled: tuple[str, int] | None = None
        """The last of them that was read out of a job."""
        self._sampled_at = 0.0
        self._written = totals
        """The totals up to which all is written, or left."""
        self._rest: Sums | None = None
        """What could not be left."""
        self._second = int(time())
        """In which something was written last."""
        self._meters_at = 0
        """In which second the meters are to be written next."""
        self._is_sending = False
        """A turn with counts is under way."""
        self._lock: Any = _new_lock()

    # Counting

    def of(self, definition: JobDefinition, queue: str) -> Meter:
        """The meter of this class and queue. The definition has it until a job of the class comes
        from another queue."""
        meter = self.named(definition.name, queue)
        if meter.queue == queue:
            meter.queue = queue  # the very same string: a thread compares by identity
            meter.owner = definition
            object.__setattr__(definition, "meter", meter)
        return meter

    def named(self, job: str, queue: str) -> Meter:
        meter = self._meters.get((queue, job))
        if meter is None:
            if len(self._meters) >= MOST_METERS and not self._forget_idle():
                return self._meters.setdefault((OTHERS, OTHERS), Meter(OTHERS, OTHERS))
            meter = self._meters[queue, job] = Meter(queue, job)
        return meter

    def _forget_idle(self) -> bool:
        """Forget the meters that have nothing to write; False where that makes no room."""
        with self._lock:
            for pair, meter in [*self._meters.items()]:
                if meter.is_written:
                    del self._meters[pair]
                    owner: Any = meter.owner
                    if owner is not None and owner.meter is meter:
                        object.__setattr__(owner, "meter", NO_METER)
        return len(self._meters) < MOST_METERS

    def note_waits(self, queue: str, raws: Sequence[bytes]) -> None:
        """These jobs were reserved now. The first and the last one say for how long they have
        waited, each for half of them. Turns that follow within 5 ms say nothing new: their jobs
        count as those before, where these were of the same queue."""
        if not self._samples:
            return
        count, now = len(raws) * self._weight, time()
        last = self._sampled
        if last is not None and last[0] is queue and 0 <= now - self._sampled_at < SAMPLE_SECONDS:
            self._waits[last] += count
            return
        samples = raws if len(raws) <= 2 else (raws[0], raws[-1])
        part, more = divmod(count, len(samples))
        if len(self._waits) >= MOST_WAITS:
            with self._lock:  # too many queues: the samples since the last flush are lost
                self._waits, self._written_waits = {}, {}
        self._sampled, self._sampled_at = None, now
        for place, raw in enumerate(samples):
            since = waits_since(raw) if len(raw) <= MOST_SAMPLED_BYTES else None
            if since is not None:
                self._sampled = queue, bucket_of(now - since)
                jobs = self._waits.get(self._sampled, 0) + part + (place < more)
                self._waits[self._sampled] = jobs

    # Writing

    @property
    def is_due(self) -> bool:
        return self.enabled and int(time()) != self._second

    def take(self, totals: Totals) -> tuple[Effect, ...]:
        """The effects of a turn that writes all counts up to these totals, which are those of the
        turn itself."""
        with self._lock:
            self._second = now = int(time())
            sums = self._collect(totals, now - 1, meters=now >= self._meters_at)
            if sums is None:
                return ()
            if sums.counts:
                self._meters_at = now + min(10, len(sums.counts) // FIELDS_A_SECOND)
            if self._shared is not None and self._shared.used > SIZE // 2:
                for left in self._shared.take():  # no maintenance process does it
                    sums.add(left)
            self._is_sending = True
        return tuple(
            Effect("sum", key, kept, counts_of(fields), most)
            for key, kept, most, fields in hashes_of(self._keys, sums)
        )

    def note_written(self) -> None:
        """The turn is done."""
        self._is_sending = False

    def leave_late(self, totals: Totals) -> None:
        """Called once a second in the heartbeat's thread, with the totals that are settled."""
        if self.enabled and int(time()) - self._second >= LATE_SECONDS:
            self.leave(totals)

    def leave(self, totals: Totals) -> None:
        """Leave all counts up to these totals, which are settled, to the maintenance process."""
        if not self.enabled or self._shared is None:
            return
        with self._lock:
            if self._is_sending:  # Redis is away or slow
                return
            self._second = now = int(time())
            sums = self._collect(totals, now - 1, meters=True)
            if sums is not None and not self._shared.leave(sums):
                self._rest = sums

    def _collect(self, totals: Totals, second: int, *, meters: bool) -> Sums | None:
        """What is not written yet, which counts as written from now on; None for nothing."""
        new = totals - self._written
        self._written = totals
        counts = zip("dfr", (new.done, new.failed, new.retried), strict=True)
        sums = Sums(second, {kind: count for kind, count in counts if count}, {}, {})
        if meters:
            for meter in [*self._meters.values()]:
                if not meter.is_written:
                    meter.take(sums.counts, sums.times)
            self._take_waits(sums.times)
        if self._rest is not None:
            sums.add(self._rest)
            self._rest = None
        return sums if sums.totals or sums.counts or sums.times else None

    def _take_waits(self, times: dict[str, int]) -> None:
        written = self._written_waits
        for place, count in [*self._waits.items()]:
            new = count - written.get(place, 0)
            if new:
                times[field("w", place[0], str(place[1]))] = new
                written[place] = count
