"""A WorkerThread: a greenlet that performs one job after the other."""

from __future__ import annotations

from time import monotonic
from typing import Any

import gevent
from gevent import Greenlet, get_hub
from gevent.pool import Pool

from gresque.errors import JobKilled, UnknownJob
from gresque.jobs.payload import decode
from gresque.jobs.registry import Registry
from gresque.worker.book import Book
from gresque.worker.gate import Gate
from gresque.worker.outcome import Outcome

TURN_SECONDS = 0.005
"""A thread that has run jobs for this long without the loop turning lets it turn: signals, timers
and other jobs' sockets wait for that."""


class Crew:
    """The threads of one process, and the rules by which they wake each other.

    A thread that takes a job wakes one other if work remains. So a thousand waiting jobs start in
    one turn of the loop, and a batch of short ones is run through by a single thread.
    """

    def __init__(
        self, size: int, book: Book, gate: Gate, registry: Registry, outcome: Outcome
    ) -> None:
        self.book = book
        self.gate = gate
        self.registry = registry
        self.outcome = outcome
        self.ring_at = 1
        """Ring the gate when so many jobs have ended."""
        self.lingering = False
        """The cycle knows that threads run out of work, and waits a moment for more ends."""
        self.threads: list[WorkerThread] = []
        self.parked: list[WorkerThread] = []
        self.waking = False
        self._size = size
        # Bounds the threads and holds them; `start` would block above THREAD_COUNT.
        self._pool: Any = Pool(size)
        self._run_callback = get_hub().loop.run_callback

    def wake_one(self) -> None:
        """Let one more thread look for work, if there is one that does not."""
        if self.parked:
            self.waking = True
            self._run_callback(self.parked.pop().switch)
        elif len(self.threads) < self._size:
            self.waking = True
            thread = WorkerThread(self)
            self.threads.append(thread)
            self._pool.start(thread)

    def kill_jobs(self, reason: str) -> None:
        """Throw JobKilled into every job that runs now."""
        for thread in self.threads:
            if thread.job is not None:
                thread.kill_job(thread.job, reason)


class WorkerThread(Greenlet):  # type: ignore[misc]
    """Performs jobs, one at a time.

    1. Takes the next ready job, or parks until there is one.
    2. Performs it; what it raises becomes a failure entry, whatever it is.
    3. Puts it among the ended ones, which the cycle settles; this happens outside the job's own
       frame, so that a kill cannot interrupt it.

    It lives as long as its process: a greenlet per job would cost sixty times as much.
    """

    def __init__(self, crew: Crew) -> None:
        super().__init__()
        self._crew = crew
        self.job: tuple[bytes, str, bytes] | None = None
        """The job that runs now; what was killed is told by identity."""
        self.since = 0.0
        """When it started, on the monotonic clock."""

    def _run(self) -> None:
        crew = self._crew
        book, gate, outcome = crew.book, crew.gate, crew.outcome
        find, ready, hub = crew.registry.find, crew.book.ready, get_hub()
        turned = monotonic()
        crew.waking = False
        while True:
            if not ready:
                crew.parked.append(self)
                if not crew.lingering:
                    gate.ring()
                hub.switch()
                crew.waking = False
                turned = monotonic()
                continue
            now = monotonic()
            if now - turned > TURN_SECONDS:
                gevent.sleep(0)
                turned = monotonic()
                continue
            job = ready.popleft()
            if ready and not crew.waking:
                crew.wake_one()
            definition = None
            self.since = now
            self.job = job
            try:
                payload = decode(job[2])
                definition = find(payload.name)
                if definition is None:
                    raise UnknownJob(crew.registry.explain_unknown(payload.name))
                if payload.kwargs:
                    definition.perform(*(payload.args or ()), **payload.kwargs)
                else:
                    definition.perform(*(payload.args or ()))
            except JobKilled as killed:
                self.job = None
                outcome.cut_short(job, definition, killed, now)
            except BaseException as error:
                self.job = None
                outcome.fail(job, definition, error, now)
            else:
                self.job = None
                book.done += 1
                if outcome.verbose:
                    outcome.log_done(job, now)
            ended = book.ended
            ended.append(job[0])
            if len(ended) >= crew.ring_at:
                gate.ring()
                gevent.sleep(0)
                turned = monotonic()

    def kill_job(self, job: tuple[bytes, str, bytes], reason: str) -> None:
        """End `job` if this thread still runs it when the loop gets there; nobody else's."""
        get_hub().loop.run_callback(self._throw, job, reason)

    def _throw(self, job: tuple[bytes, str, bytes], reason: str) -> None:
        if self.job is job:
            self.throw(JobKilled(reason))
