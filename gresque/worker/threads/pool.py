"""The threads of a worker process."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, NoReturn

from gevent import get_hub

from gresque.forked import end_child
from gresque.jobs.crash_history import recoveries
from gresque.jobs.registry import Registry
from gresque.jobs.tracking import TRACK_IN_BYTES
from gresque.jobs.unique import UNIQUE_IN_BYTES
from gresque.worker.threads.kills import Kill
from gresque.worker.threads.outcome import Outcome
from gresque.worker.threads.thread import WorkerThread
from gresque.worker.turns.in_flight import InFlight, ReservedJob
from gresque.worker.turns.wakeup import Wakeup


class ThreadPool:
    """The threads of one process, and the rules by which they wake each other.

    A thread that takes a job wakes one other if work remains. So a thousand waiting jobs start in
    one turn of the loop, and a batch of short ones is run through by a single thread.
    """

    def __init__(
        self,
        size: int,
        in_flight: InFlight,
        wakeup: Wakeup,
        registry: Registry,
        outcome: Outcome,
        thread_words: list[int] | memoryview[int],
    ) -> None:
        """`thread_words` has a word for each thread: see `Row.threads`."""
        self.in_flight = in_flight
        self.wakeup = wakeup
        self.registry = registry
        self.outcome = outcome
        self.words = thread_words
        self.word_of = _Words()
        self.wake_at = 1
        """Wake the main greenlet when this many jobs have ended."""
        self.hands_over = False
        """Suspects in ordinary queues are not for this process: see `Policy.takes_suspects`."""
        self.lingering = False
        """The cycle knows that threads run out of work, and waits a moment for more ends."""
        self.threads: list[WorkerThread] = []
        self.parked: list[WorkerThread] = []
        self.waking = False
        self.on_killed: Callable[[ReservedJob, bool], None] = lambda job, in_failed: None
        """Called when a kill has ended a job; whether that stands among the failed, if it was not
        put back."""
        self._size = size
        self.loop: Any = get_hub().loop

    def steps_aside(self, job: ReservedJob, name: str) -> bool:
        """Whether this job, which has an envelope, needs another step before a thread performs it,
        or instead."""
        if self.hands_over and b'"recoveries"' in job[2] and recoveries(job[2]) > 0:
            self.in_flight.hand_over(job)  # a process has died under it
            return True
        # An unknown job fails, and needs no lock.
        is_unique = UNIQUE_IN_BYTES in job[2] and self.registry.find(name) is not None
        if is_unique and self.in_flight.waits_for_start(job):
            return True
        if TRACK_IN_BYTES in job[2]:
            self.in_flight.tracked.begin(job)
        return False

    def wake_one(self) -> None:
        """Let one more thread look for work, if there is one that does not."""
        if self.parked:
            self.waking = True
            self.loop.run_callback(self.parked.pop().wake)
        elif len(self.threads) < self._size:
            self.waking = True
            thread = WorkerThread(self, len(self.threads))
            self.threads.append(thread)
            thread.start()

    def leave_to_child(self, current: Any, words: list[int] | memoryview[int]) -> None:
        """In a process that a job forked, in the greenlet that did so: when control comes back
        from the job's code, the process ends. A thread checks nothing for that: what it does next
        after a job has become something else."""
        self.words = words
        self.in_flight.ended = _EndOfChild()
        WorkerThread._end_badly = _end_child  # type: ignore[assignment,method-assign]
        WorkerThread._recover_from = _end_child  # type: ignore[assignment,method-assign]
        while current is not None:
            if isinstance(current, WorkerThread):
                current.to_kill = current.deadline = None  # the job's in the parent
            current = current.parent

    def running_jobs(self) -> list[ReservedJob]:
        return [job for thread in list(self.threads) if (job := thread.job) is not None]

    def kill_jobs(self, reason: str, *, requeue: bool = False) -> None:
        """Throw JobKilled into every job that runs now, until they are dead. One that an operator
        has killed already is not put back by a shutdown."""
        for thread in self.threads:
            job = thread.job
            if job is not None and not (requeue and thread.must_die(job)):
                thread.kill_job(Kill(job, reason, requeue, monotonic()))

    def kill_from_outside(self, thread: WorkerThread, kill: Kill) -> None:
        """Called in another native thread. A kill that waits already, for a section's end or for
        the loop, stays; only an operator's takes the place of a timeout's: no attempt is to follow.
        It has no more time than that one."""
        earlier = thread.to_kill
        if earlier is not None and earlier.job is kill.job and not earlier.requeue:
            if earlier.by_operator or not kill.by_operator:
                return
            kill = kill._replace(since=earlier.since)
        thread.to_kill = kill  # for the loop monitor, if the loop does not turn
        # Queued now: if the job waits for something of its own that dies first, this goes first.
        self.loop.run_callback_threadsafe(thread.throw_kill, kill)


class _Words(dict[bytes, int]):
    """Slot -> its word on the scoreboard. Looked up once per job: `int()` costs twice as much."""

    def __missing__(self, slot: bytes) -> int:
        word = self[slot] = int(slot) + 1
        return word


class _EndOfChild(list[bytes]):
    """The ended jobs, in a process that a job forked."""

    def append(self, slot: bytes) -> NoReturn:
        end_child()


def _end_child(thread: WorkerThread, *parts: Any) -> NoReturn:
    """In place of what a thread does with an exception, which comes last."""
    end_child(parts[-1])
