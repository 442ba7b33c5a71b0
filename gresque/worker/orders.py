"""What others ask of a worker process through Redis, and what it tells them."""

from __future__ import annotations

import logging
import time
from typing import Any

from gresque.errors import JobKilled
from gresque.jobs import payload
from gresque.store.speech import Blocking, Order, Running
from gresque.worker.book import Book, ReservedJob
from gresque.worker.gate import Gate
from gresque.worker.outcome import Outcome, describe, directly
from gresque.worker.stacks import Standing, all_standings, as_dict
from gresque.worker.thread import Crew, Kill
from gresque.worker.watcher import Watcher

log = logging.getLogger("gresque.worker")


class Orders:
    """Carries out kills and tells what runs, and where. The heartbeat's native thread calls it: the
    loop may be blocked by the very job that is meant."""

    def __init__(
        self, crew: Crew, book: Book, gate: Gate, outcome: Outcome, watcher: Watcher
    ) -> None:
        self._crew = crew
        self._book = book
        self._gate = gate
        self._outcome = outcome
        self._watcher = watcher

    def obey(self, order: Order) -> Any:
        """Do it; what is returned, if anything, is the answer."""
        if order.verb == "kill":
            self._kill(order.argument)
        elif order.verb == "stacks":
            return [as_dict(each) for each in self.standings()]
        return None

    def standings(self) -> list[Standing]:
        """Where every greenlet stands."""
        return all_standings(self._crew, self._watcher.main_thread, self._watcher.root)

    def running(self) -> Running:
        """What runs since when, on the monotonic clock, and what blocks the loop."""
        since = {
            job[0].decode(): thread.since
            for thread in list(self._crew.threads)
            if (job := thread.job) is not None
        }
        blocked = self._watcher.blocked
        if blocked is None or blocked.by.job is None:
            return Running(since)
        slot, stack = blocked.by.job[0].decode(), list(blocked.by.stack)
        return Running(since, Blocking(slot, blocked.since, stack))

    def _kill(self, job_id: str) -> None:
        reason = "an operator killed it by its id"
        self._crew.loop.run_callback_threadsafe(self._fail_ready, job_id, reason)
        for thread in list(self._crew.threads):
            job = thread.job
            if job is not None and _has_id(job, job_id):
                log.info("asked to kill %s", describe(job))
                kill = Kill(job, reason, False, time.monotonic())
                self._crew.kill_from_outside(thread, kill)

    def _fail_ready(self, job_id: str, reason: str) -> None:
        """A job that is to be killed and has not started yet never does. Called in the loop."""
        for job in list(self._book.ready):
            if _has_id(job, job_id):
                self._book.ready.remove(job)
                self._outcome.cut_short(
                    job, None, JobKilled(reason), time.monotonic(), directly, requeue=False
                )
                self._gate.ring()


def _has_id(job: ReservedJob, job_id: str) -> bool:
    return str(payload.loads(job[2]).get("id")) == job_id
