"""A kill, and how it reaches the thread whose job it means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from gevent import Greenlet, get_hub

from gresque.errors import DirtyExit, JobKilled, JobTimeout
from gresque.processes.scoreboard import GUARDED
from gresque.raised import context_of
from gresque.worker.turns.in_flight import ReservedJob

if TYPE_CHECKING:
    from gresque.worker.threads.pool import ThreadPool

KILLED_BY_USR1 = "an operator sent USR1"

KILL_AGAIN_SECONDS = 0.5


class KilledFromRuby(JobKilled):
    """Thrown into a job that the page of the Ruby fork kills."""


class RubyDirtyExit(DirtyExit):
    """The failure of such a job has the name that the users of that page know."""

    __module__ = DirtyExit.__module__
    __qualname__ = "Resque::DirtyExit"


class Kill(NamedTuple):
    """An order that `job` ends, for this reason, since then (monotonic)."""

    job: ReservedJob
    reason: str
    requeue: bool
    """It may go back into its queue: a shutdown, not an operator who meant this job."""
    since: float
    error: type[JobKilled] = JobKilled

    @property
    def by_operator(self) -> bool:
        """Neither a shutdown nor a timeout, after which the job may run again."""
        return not self.requeue and not issubclass(self.error, JobTimeout)


class Killable(Greenlet):  # type: ignore[misc]
    """A thread whose job can be killed. The way of a kill:

    1. It is noted on the thread. The loop throws it into the job, and again every half second.
    2. Where the loop does not turn, the loop monitor interrupts the thread, and the job raises it.
    3. In an `uninterruptible` section it waits: the job raises it as it leaves the section.
    4. It is done when another job runs, or none.
    """

    # In a dictionary they would take several times the memory.
    __slots__ = ("_guarded", "_guards", "job", "to_kill")

    _thread_pool: ThreadPool
    _number: int

    def __init__(self) -> None:
        super().__init__()
        self.job: ReservedJob | None = None
        """The job that runs now; jobs are compared by identity."""
        self.to_kill: Kill | None = None
        self._guarded: ReservedJob | None = None
        self._guards = 0

    def kill_job(self, kill: Kill) -> None:
        """End `kill.job` if this thread still runs it when the loop gets there, and no other job.

        It is thrown again and again, as a job may swallow one JobKilled. Where the loop does not
        turn, the loop monitor throws it.
        """
        self.to_kill = kill
        get_hub().loop.run_callback(self.throw_kill, kill)

    def must_die(self, job: ReservedJob) -> bool:
        """Whether an operator or a timeout wants this very job to end already."""
        kill = self.to_kill
        return kill is not None and kill.job is job and not kill.requeue

    def throw_kill(self, kill: Kill) -> None:
        """In the loop: raise it where the job stands, if that still runs."""
        if self.job is not kill.job:
            if self.to_kill is kill:
                self.to_kill = None
            return
        if self.to_kill is not kill:
            return  # it has landed, or another one came after it
        timer: Any = get_hub().loop.timer(KILL_AGAIN_SECONDS)
        timer.start(self._throw_again, timer, kill)
        if not self.guarded:
            self.throw(kill.error(kill.reason))

    def _throw_again(self, timer: Any, kill: Kill) -> None:
        timer.close()
        self.throw_kill(kill)

    @property
    def guarded(self) -> bool:
        """Whether the job is in an `uninterruptible` section; that of an earlier job, which it
        never left, does not count."""
        return self._guards > 0 and self._guarded is self.job

    def guard(self) -> None:
        """No kill may land until `unguard`; sections nest. Called by the job."""
        if not self.guarded:
            self._guarded, self._guards = self.job, 0
        self._guards += 1
        self._thread_pool.words[self._number] |= GUARDED

    def unguard(self) -> None:
        """Leave a section; from the outermost one a kill that came meanwhile is raised."""
        self._guards -= 1
        if self._guards > 0:
            return
        self._thread_pool.words[self._number] &= ~GUARDED
        self.raise_kill()

    def raise_kill(self) -> None:
        """Raise the kill that is meant for the job that runs now, unless it is guarded. Called in
        this very greenlet."""
        kill = self.to_kill
        if kill is not None and kill.job is self.job and not self.guarded:
            raise kill.error(kill.reason)


def kill_within(error: BaseException | None) -> JobKilled | None:
    """The kill itself, or the one on whose way out something else was raised, in a `finally`."""
    for _ in range(10):
        if error is None:
            return None
        # Neither asks the exception: its class may have attributes that raise.
        if issubclass(type(error), JobKilled):
            return cast(JobKilled, error)
        error = context_of(error)
    return None
