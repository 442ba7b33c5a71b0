"""Commands to kill a job by its id, each until its job has been settled."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from gevent.monkey import get_original

from gresque.errors import JobKilled
from gresque.jobs import payload
from gresque.logs import fields
from gresque.store.commands import KILLED_BY_ID, Fate, KillAnswer
from gresque.text import encoded, printable
from gresque.worker.threads.end_log import describe
from gresque.worker.threads.kills import Kill
from gresque.worker.threads.outcome import Outcome, directly
from gresque.worker.threads.pool import ThreadPool
from gresque.worker.threads.thread import WorkerThread
from gresque.worker.turns.in_flight import InFlight, ReservedJob
from gresque.worker.turns.wakeup import Wakeup

log = logging.getLogger("gresque.worker")

A_MOMENT_SECONDS = 0.02
"""A job that a thread is just taking up is for a few microseconds neither ready nor running."""


@dataclass
class _Asked:
    """A kill: the jobs with the id, of which a foreign program may have made several, and what is
    known of their ends."""

    jobs: list[ReservedJob]
    answer: KillAnswer
    seems_over: bool = False

    def means(self, job: ReservedJob | None) -> bool:
        return any(each is job for each in self.jobs)


class KillCommands:
    """The way of such a command:

    1. The heartbeat's thread receives it: the job is found and killed (see `Killable`).
    2. The job ends, one way or the other.
    3. The turn settles it, and the main greenlet answers. So what the answer says stands in Redis,
       and a process that leaves right after answers, too.

    If the process dies, the process that recovers it answers.
    """

    def __init__(
        self, pool: ThreadPool, in_flight: InFlight, wakeup: Wakeup, outcome: Outcome
    ) -> None:
        self._thread_pool = pool
        self._in_flight = in_flight
        self._wakeup = wakeup
        self._outcome = outcome
        self._asked: dict[str, _Asked] = {}
        pool.on_killed = self._note

    def __bool__(self) -> bool:
        """Whether some kill has not been answered for good."""
        return bool(self._asked)

    def order(self, token: str, job_id: str, by: str = "") -> KillAnswer:
        """Called in the heartbeat's thread; again with the same token when no answer has come
        for a while."""
        asked = self._asked.get(token)
        if asked is None:
            jobs = self._find(job_id) or self._find_after_a_moment(job_id)
            if not jobs:
                return KillAnswer(Fate.ENDED)
            asked = self._asked[token] = _Asked(jobs, KillAnswer(Fate.ENDED))
            log.info(
                "asked%s to kill %s",
                f" by {printable(by)}" if by else "",
                describe(jobs[0]),
                extra=fields("kill_received", job_id=job_id, queue=jobs[0][1], by=by or None),
            )
        elif self._is_over(asked):
            if asked.seems_over:  # twice, for a job that is just ending is nowhere for a moment
                self._asked.pop(token, None)
                return asked.answer
            asked.seems_over = True
        threads = [thread for thread in list(self._thread_pool.threads) if asked.means(thread.job)]
        killed = [job for thread in threads if (job := self._kill(thread, asked)) is not None]
        self._thread_pool.loop.run_callback_threadsafe(self._kill_in_loop, asked, killed)
        guarded = any(thread.guarded for thread in threads)
        return KillAnswer(Fate.GUARDED if guarded else Fate.DELIVERED)

    def pop_answers(self, refused: Collection[bytes] = ()) -> list[tuple[str, KillAnswer]]:
        """Token and answer of each kill that has come to its end. Called after a turn, with the
        slots of those that it could not settle."""
        over = [
            token
            for token, asked in list(self._asked.items())
            if self._is_over(asked) and not any(job[0] in refused for job in asked.jobs)
        ]
        popped = ((token, self._asked.pop(token, None)) for token in over)
        return [(token, asked.answer) for token, asked in popped if asked is not None]

    def replace(self, old: ReservedJob, new: ReservedJob) -> None:
        """A job has started with another payload."""
        for asked in list(self._asked.values()):
            asked.jobs = [new if each is old else each for each in asked.jobs]

    def kill_ready(self) -> None:
        """Jobs that waited for their start when they were to be killed are ready now."""
        for asked in list(self._asked.values()):
            self._thread_pool.loop.run_callback(self._kill_in_loop, asked, [])

    def end_waiting(self, job: ReservedJob) -> bool:
        """A job that must go on waiting ends here if it is to be killed; False else."""
        if not any(asked.means(job) for asked in list(self._asked.values())):
            return False
        self._cut_short(job)
        return True

    def _find(self, job_id: str) -> list[ReservedJob]:
        # First those that are ready: a thread may take one up meanwhile.
        ready = [*self._in_flight.ready, *self._in_flight.starting]
        running = [
            job for thread in list(self._thread_pool.threads) if (job := thread.job) is not None
        ]
        text = encoded(job_id)
        # To search the bytes first takes a tenth of the time: a thousand kills look at a thousand
        # jobs each.
        likely = (job for job in {id(j): j for j in ready + running}.values() if text in job[2])
        return [job for job in likely if _has_id(job, job_id)]

    def _find_after_a_moment(self, job_id: str) -> list[ReservedJob]:
        sleep: Any = get_original("time", "sleep")
        sleep(A_MOMENT_SECONDS)
        return self._find(job_id)

    def _kill(self, thread: WorkerThread, asked: _Asked) -> ReservedJob | None:
        """Returns the job when it is to die."""
        job = thread.job
        if job is None or not asked.means(job):
            return None
        kill = Kill(job, KILLED_BY_ID, False, time.monotonic())
        self._thread_pool.kill_from_outside(thread, kill)
        return job

    def _kill_in_loop(self, asked: _Asked, killed: list[ReservedJob]) -> None:
        """A job that has not started yet never does; or it has started meanwhile. Of those that
        are `killed` already the hooks may run by now."""
        for job in list(self._in_flight.ready):
            if asked.means(job):
                self._in_flight.ready.remove(job)
                self._cut_short(job)
        for job in self._in_flight.starting[self._in_flight.being_started :]:
            if asked.means(job):
                self._in_flight.starting.remove(job)
                self._cut_short(job)
        for thread in list(self._thread_pool.threads):
            if not any(thread.job is job for job in killed):
                self._kill(thread, asked)

    def _cut_short(self, job: ReservedJob) -> None:
        """It has not started, and never will."""
        kill, now = JobKilled(KILLED_BY_ID), time.monotonic()
        self._outcome.cut_short(job, None, kill, now, directly, lambda job: None, requeue=False)
        self._note(job, True)
        self._wakeup.set()

    def _note(self, job: ReservedJob, in_failed: bool) -> None:
        """A kill has ended this job."""
        for asked in list(self._asked.values()):
            if asked.means(job):
                settled = self._in_flight.settled
                back = any(each.job is job and each.totals.requeued for each in settled)
                asked.answer = KillAnswer(Fate.REQUEUED if back else Fate.DEAD, in_failed)

    def _is_over(self, asked: _Asked) -> bool:
        """Whether all of its jobs are settled."""
        if any(asked.means(thread.job) for thread in list(self._thread_pool.threads)):
            return False
        waiting = [*self._in_flight.ready, *self._in_flight.starting]
        if any(asked.means(job) for job in waiting):
            return False
        return not {job[0] for job in asked.jobs} & set(self._in_flight.ended)


def _has_id(job: ReservedJob, job_id: str) -> bool:
    return str(payload.loads(job[2]).get("id")) == job_id
