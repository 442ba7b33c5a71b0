"""The book of one worker process: what it holds, what is to be done, what has ended."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from gresque.store.ledger import Totals

ReservedJob = tuple[bytes, str, bytes]
"""A job in a slot of the ledger: slot, queue, payload as it came. A plain tuple, because those of a
whole batch are made in C, and because it is told by identity: two may be equal."""


class FailedJob(NamedTuple):
    """A job that failed, and the entry that is to be pushed for it; `list_name` as in `fail`."""

    job: ReservedJob
    list_key: str
    entry: bytes
    list_name: str


class InFlight:
    """Kept by the cycle (which reserves and settles) and the WorkerThreads (which perform).

    A job's way: `ready` → a thread → `ended` (and its failure entry, or its slot among `gives`)
    → settled by the next turn. Slots: free → held → ended → free or held again.
    """

    def __init__(self, totals: Totals) -> None:
        self.ready: deque[ReservedJob] = deque()
        self.held = 0
        """Jobs in the ledger: ready, running, or ended and not settled yet. Refused ones, which
        are in the ledger too, are not counted here (see `refused.Refused`)."""
        self.ended: list[bytes] = []
        self.to_requeue: deque[ReservedJob] = deque()
        """Jobs, ended ones too, that go back to the head of their queues; the last of them will be
        the very first in its queue."""
        self.entries: list[FailedJob] = []
        self.done = totals.done
        self.failed = totals.failed
        self.requeued = totals.requeued
        self.reserved = totals.reserved

    @property
    def running(self) -> int:
        return self.held - len(self.ended) - len(self.ready)

    @property
    def totals(self) -> Totals:
        return Totals(self.reserved, self.done, self.failed, self.requeued)

    def fail(
        self, job: ReservedJob, list_key: str = "", entry: bytes = b"", list_name: str = ""
    ) -> None:
        """The job has ended as a failure, with this entry or without one. `list_name` is what
        stands for the list among the failed queues, if it stands there."""
        self.failed += 1
        if entry:
            self.entries.append(FailedJob(job, list_key, entry, list_name))
        self.ended.append(job[0])

    def put_back(self, job: ReservedJob) -> None:
        """Let the next turn put a job that ran back to the head of its queue. Of several, the
        first one will be the first again."""
        self.to_requeue.appendleft(job)
        self.ended.append(job[0])
        self.requeued += 1

    def give_back_ready(self, keep: int = 0) -> None:
        """Give back what no thread has taken, but for the first `keep` of them; the last one first,
        so that their order stays."""
        while len(self.ready) > keep:
            job = self.ready.pop()
            self.to_requeue.append(job)
            self.ended.append(job[0])
            self.requeued += 1
