"""The jobs that one worker process holds: they are ready, run, or have ended."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Container, Iterable, Iterator
from itertools import repeat

import msgspec

from gresque.jobs.ends import End, EndedJob, EndRules, effects_of
from gresque.jobs.locks import release
from gresque.jobs.unique import mark_in
from gresque.store.effects import KINDS, Effect
from gresque.store.keys import Keys
from gresque.store.ledger import IN_ALL, IN_OWN, UNCOUNTED, Totals, write_entry
from gresque.text import encoded
from gresque.worker.turns.meters import Meters
from gresque.worker.turns.tracked_runs import TrackedRuns

ReservedJob = tuple[bytes, str, bytes]
"""A job in a slot of the ledger: slot, queue, payload as it came. A plain tuple, because those of a
whole batch are made in C, and compared by identity: two may be equal."""


class Settled(msgspec.Struct, gc=False):
    """A job that has ended, and the effects of its end; carriers come first (see `KINDS`)."""

    job: ReservedJob
    effects: tuple[Effect, ...]
    counts: str = ""
    """The total that counts it; "" where its first effect says which."""

    @property
    def totals(self) -> Totals:
        """As what it counts (see `lua/include/settle.lua`)."""
        return Totals(**{self.counts or KINDS[self.effects[0].kind].counts: 1})

    @property
    def arguments(self) -> int:
        """The most arguments and keys that it adds to a turn: one for the slot, and for each effect
        six and its keys, though jobs may share keys."""
        arguments = 1
        for effect in self.effects:
            arguments += 6 + effect.keys
        return arguments

    @property
    def returns(self) -> bool:
        """It goes back to the head of a list from which this process may reserve."""
        return self.effects[0].kind in ("requeue", "suspect")

    @property
    def size(self) -> int:
        """Of its payload, and its failure entry or the payload that goes on."""
        size = len(self.job[2])
        for effect in self.effects:
            size += effect.size
        return size


class Slots:
    """The slots of the ledger: their names are numbers, from 0."""

    def __init__(self, count: int) -> None:
        self.free = [b"%d" % slot for slot in range(count - 1, -1, -1)]
        self.made = self._count = count

    def make(self) -> bytes:
        """One more, which is taken."""
        self.made += 1
        return b"%d" % (self.made - 1)

    def replace(self, refused: int) -> None:
        """Refused jobs keep that number of slots: other jobs get slots in their place."""
        made = self.made
        self.made = max(made, self._count + refused)
        self.free[:0] = (b"%d" % slot for slot in range(made, self.made))


class InFlight:
    """Kept by the cycle (which reserves and settles) and the WorkerThreads (which perform).

    A job's way: `ready` → a thread → `ended` (and `settled`, if its end has effects) → acknowledged
    by the next turn. Slots: free → held → ended → free or held again.
    """

    def __init__(self, totals: Totals, keys: Keys, meters: Meters | None = None) -> None:
        self._keys = keys
        self.meters = Meters(keys) if meters is None else meters
        self._rules = EndRules(keys)
        self.ready: deque[ReservedJob] = deque()
        self.held = 0
        """Jobs in the ledger: ready, running, or ended and not settled yet. Refused ones, which
        are in the ledger too, are not counted here (see `refused.Refused`)."""
        self.ended: list[bytes] = []
        self.settled: deque[Settled] = deque()
        """Of the ended ones those with effects. Jobs that go back to the head of a list do so in
        this order: the last of them will be the very first in its list."""
        self.returning = 0
        """How many of `settled` go back to where this process reserves from."""
        self.starting: list[ReservedJob] = []
        """Unique jobs that start by a trip of their own (see `Starter`)."""
        self.being_started = 0
        """The number of these, from the first on, whose trip is under way."""
        self.started: dict[bytes, Settled | None] = {}
        """Slot -> what a unique job that has started does about its lock when it is done; None
        where it does nothing."""
        self.tracked = TrackedRuns(keys)
        self.handed_over = 0
        """Suspects that were met in an ordinary queue and went to their own list, so far."""
        self.counted: dict[bytes, tuple[bytes, str]] = {}
        """Slot -> flag and queue of the held jobs that are counted as in flight (see
        `store/ledger.py`)."""
        self.done = totals.done
        self.failed = totals.failed
        self.requeued = totals.requeued
        self.retried = totals.retried
        self.reserved = totals.reserved

    @property
    def running(self) -> int:
        return self.held - len(self.ended) - len(self.ready) - len(self.starting)

    @property
    def totals(self) -> Totals:
        return Totals(self.reserved, self.done, self.failed, self.requeued, self.retried)

    def entry(self, job: ReservedJob) -> bytes:
        """The entry of this job in the ledger."""
        slot, queue, raw = job
        flag, _ = self.counted.get(slot, (UNCOUNTED, queue))
        return write_entry(encoded(self._keys.queue(queue)), raw, flag)

    def fail(self, job: ReservedJob, *effects: Effect) -> None:
        """The job has ended as a failure, with a failure entry among its effects or without one."""
        self.failed += 1
        if effects:
            self.settled.append(Settled(job, effects, "failed"))
        self.ended.append(job[0])

    def put_off_job(self, job: ReservedJob, *effects: Effect) -> None:
        """The job is to run again later: as a further attempt, or as the same one."""
        self.settled.append(Settled(job, effects))
        self.ended.append(job[0])
        if KINDS[effects[0].kind].counts == "retried":
            self.retried += 1
        else:
            self.requeued += 1

    def put_back(self, job: ReservedJob, *effects: Effect) -> None:
        """Let the next turn put a job that ran back to the head of its list. Of several, the
        first one will be the first again."""
        self.settled.appendleft(Settled(job, effects or self._way_back(job)))
        self.ended.append(job[0])
        self.requeued += 1
        self.returning += 1

    def hand_over(self, job: ReservedJob) -> None:
        """A suspect, met in an ordinary queue, goes to the suspects of its queue."""
        self.settled.append(Settled(job, self._way_back(job)))
        self.ended.append(job[0])
        self.requeued += 1
        self.handed_over += 1

    def waits_for_start(self, job: ReservedJob) -> bool:
        """Whether the job, which has an envelope, must wait for its start before it runs."""
        mark = mark_in(job[2])
        if mark is None:
            return False
        if job[0] not in self.started and (mark.mode != "both" or mark.replaced):
            self.starting.append(job)
            return True
        # As `effects_of` says for `End.DONE`, in a fifth of its time. In mode `queued` the lock has
        # been released at the start: a server that has forgotten the start has it again.
        self.started[job[0]] = Settled(job, (release(self._keys, job[1], job[2], mark),))
        return False

    def give_back_ready(self, keep: int = 0) -> None:
        """Give back what no thread has taken, but for the first `keep` of them; the last one first,
        so that their order stays."""
        while len(self.ready) > keep:
            self._give_back(self.ready.pop())
        while not keep and len(self.starting) > self.being_started:
            self._give_back(self.starting.pop())

    def give_back_of(self, queues: Container[str]) -> None:
        """Give back the jobs of these queues that no thread has taken."""
        kept: deque[ReservedJob] = deque()
        while self.ready:
            job = self.ready.pop()
            if job[1] in queues:
                self._give_back(job)
            else:
                kept.appendleft(job)
        self.ready.extend(kept)
        for job in reversed(self.starting[self.being_started :]):
            if job[1] in queues:
                self.starting.remove(job)
                self._give_back(job)

    def _give_back(self, job: ReservedJob) -> None:
        way = self._way_back(job)
        if job[0] in self.started:
            mark = mark_in(job[2])
            if mark is not None and mark.mode == "running":  # another job can have the lock now
                way += (release(self._rules.keys, job[1], job[2], mark),)
        self.settled.append(Settled(job, way))
        self.ended.append(job[0])
        self.requeued += 1
        self.returning += 1

    def lock_out(self, job: ReservedJob) -> None:
        """Another job has the lock that this one needs."""
        ended = EndedJob(job[1], job[2])
        self.put_off_job(job, *effects_of(ended, End.LOCKED_OUT, None, self._rules).effects)

    def take_settled(self) -> tuple[list[bytes], deque[Settled]]:
        """All that ended: the slots, and the jobs with effects among them. They are no longer kept
        here."""
        if self.started or self.tracked:
            self._settle_done()
        taken = self.ended, self.settled
        self.ended, self.settled, self.returning = [], deque(), 0
        return taken

    def _settle_done(self) -> None:
        """Give the unique jobs that are done the effects on their locks, and the tracked ones their
        results."""
        settled = {each.job[0] for each in self.settled}
        for slot in self.ended:
            done, run = self.started.pop(slot, None), self.tracked.pop(slot, None)
            if slot in settled:
                continue
            if run is not None:
                others = () if done is None else done.effects
                done = Settled(run.job, (*others, self.tracked.done(run)))
            if done is not None:
                self.settled.append(done)

    def counted_among(self, slots: Iterable[bytes]) -> dict[str, tuple[int, int]]:
        """Queue -> how many of the jobs in these slots count in `inflight`, and in
        `inflight:<worker>`."""
        found: dict[str, tuple[int, int]] = {}
        each = [*map(self.counted.get, slots)]
        # Most often all are alike: to see that takes a third of the time of counting each kind.
        alike = bool(each) and each.count(each[0]) == len(each)
        for counted, jobs in ({each[0]: len(each)} if alike else Counter(each)).items():
            if counted is not None:
                flag, queue = counted
                in_all, in_own = found.get(queue, (0, 0))
                found[queue] = in_all + jobs * (flag in IN_ALL), in_own + jobs * (flag in IN_OWN)
        return found

    def count_no_more(self, slots: Iterable[bytes]) -> None:
        """The jobs in these slots have left the ledger. A loop would take half as long again."""
        deque(map(self.counted.pop, slots, repeat(None)), maxlen=0)

    def entries(self, held: list[ReservedJob]) -> Iterator[tuple[bytes, bytes]]:
        """Slots and entries of all jobs that are held. The entries of counted jobs that have ended
        and are not settled yet come before them, with b"" in place of the slot."""
        slots = {job[0] for job in held}
        for slot, (_, queue) in self.counted.items():
            if slot not in slots:
                yield b"", self.entry((slot, queue, b""))
        yield from ((job[0], self.entry(job)) for job in held)

    def put_off(self, ended: list[bytes], settled: deque[Settled]) -> None:
        """A turn takes only so much: the rest waits for the next one, before all that ends until
        then. Of those with effects `ended` has the slots, too."""
        self.ended[:0] = ended
        self.settled.extendleft(reversed(settled))
        self.returning = sum(each.returns for each in self.settled)

    def _way_back(self, job: ReservedJob) -> tuple[Effect, ...]:
        return effects_of(EndedJob(job[1], job[2]), End.GIVEN_BACK, None, self._rules).effects
