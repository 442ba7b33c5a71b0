"""The watcher: sees when the loop does not turn, and makes kills land all the same."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import time
from typing import Any, NamedTuple

import gevent
from gevent import get_hub, getcurrent
from gevent.monkey import get_original

from gresque.errors import JobTimeout
from gresque.worker import dump
from gresque.worker.book import ReservedJob
from gresque.worker.outcome import describe
from gresque.worker.scoreboard import Row, Verdict
from gresque.worker.stacks import Standing, blocking
from gresque.worker.thread import A_TURN, Crew, Kill, WorkerThread

log = logging.getLogger("gresque.watcher")

LOOK_SECONDS = 0.1
BLOCKED_SECONDS = 0.2
"""A loop that has not turned for this long is blocked by the job that runs."""

GIVE_UP_SECONDS = 1.7
"""A job that swallows every kill for this long takes its process along."""

NUDGE = signal.SIGURG  # ignored by default: one that comes too late does no harm


class Blocked(NamedTuple):
    """The loop has not turned since then (monotonic), because of the job that stands there."""

    since: float
    by: Standing


class Watcher:
    """A native thread beside the loop. Every 100 ms it asks the loop for a sign of life, and gives
    one itself on the scoreboard.

    A job that never yields keeps the loop from handling signals and from throwing kills. Then the
    watcher sends the process a signal of its own, whose handler Python runs in the very greenlet
    that hogs the CPU. There it raises JobKilled if that job is to be killed, and nobody else's;
    or, when signals wait to be heeded, it lets the loop turn once. A loop that is blocked for
    HUB_BLOCKED_SECONDS is told of in the log, with the job and where it stands.

    While C code holds the GIL this thread stands still, too; then the master acts (`Overseer`).
    """

    def __init__(
        self, crew: Crew, row: Row, hub_blocked_seconds: float, patience_seconds: float
    ) -> None:
        """`patience_seconds`: how long a kill waits for a job in an `uninterruptible` section."""
        self.blocked: Blocked | None = None
        self._crew = crew
        self._hub_blocked_seconds = hub_blocked_seconds
        self._patience_seconds = max(patience_seconds, GIVE_UP_SECONDS)
        self._told: ReservedJob | None = None
        self._row = row
        self._loop: Any = get_hub().loop
        self._leave: Any = get_original("_thread", "allocate_lock")()
        self.main_thread = get_original("_thread", "get_ident")()  # patched, it names a greenlet
        self._turned = self._asked = time.monotonic()
        self._question = self._loop.async_()

    def start(self) -> None:
        """Called in the main thread, as the constructor is."""
        signal.signal(NUDGE, self._on_nudge)
        faulthandler.register(dump.SIGNAL, self._row.dump, all_threads=True)
        self._row.beat()
        self._question.start(self._answer)
        self._leave.acquire()
        get_original("_thread", "start_new_thread")(self._run, ())

    def stop(self) -> None:
        self._leave.release()

    def _answer(self) -> None:
        self._turned = time.monotonic()

    def _run(self) -> None:
        while not self._leave.acquire(timeout=LOOK_SECONDS):
            try:
                self._look()
            except Exception:
                log.exception("the watcher failed")
        self._row.stop_beating()

    def _look(self) -> None:
        now = time.monotonic()
        self._row.beat()
        self._end_the_overdue(now)
        if self._turned >= self._asked:
            self._asked = now
            self.blocked = None
            self._question.send()
        elif now - self._asked > BLOCKED_SECONDS:
            self._see_who_blocks(now - self._asked)
            if self._something_waits():
                signal.pthread_kill(self.main_thread, NUDGE)
        self._give_up_on_the_immortal(now)

    def _see_who_blocks(self, seconds: float) -> None:
        """Told once per job: thousands of others wait for it."""
        if not self._hub_blocked_seconds or seconds < self._hub_blocked_seconds:
            return
        by = blocking(self._crew, self.main_thread)
        if by is None:
            return
        self.blocked = Blocked(self._asked, by)
        if by.job is not self._told:
            self._told = by.job
            log.warning("the loop has not turned for %.1f s, because of %s", seconds, by)

    def _end_the_overdue(self, now: float) -> None:
        for thread in list(self._crew.threads):
            deadline = thread.deadline
            if deadline is None or deadline[1] > now:
                continue
            thread.deadline = None
            if deadline[0] is thread.job:
                ran = f"it ran for over {deadline[1] - thread.since:g} s"
                self._crew.kill_from_outside(thread, Kill(deadline[0], ran, False, now, JobTimeout))

    def _something_waits(self) -> bool:
        return bool(self._loop.sig_pending) or any(
            thread.to_kill is not None for thread in list(self._crew.threads)
        )

    def _give_up_on_the_immortal(self, now: float) -> None:
        for thread in list(self._crew.threads):
            kill = thread.to_kill
            if kill is None or kill.job is not thread.job or kill.requeue:
                continue  # a shutdown's SIGKILL comes from the master, after RESQUE_TERM_TIMEOUT
            patience = self._patience_seconds if thread.guarded else GIVE_UP_SECONDS
            if now - kill.since < patience:
                continue
            log.error(
                "did not die within %.1f s, its process is replaced: %s",
                now - kill.since,
                describe(kill.job),
            )
            timed_out = issubclass(kill.error, JobTimeout)
            verdict = Verdict.TIMED_OUT if timed_out else Verdict.KILLED
            dump.empty(self._row.dump)
            faulthandler.dump_traceback(self._row.dump, all_threads=True)
            self._row.condemn(int(kill.job[0]), verdict)
            os.kill(os.getpid(), signal.SIGKILL)

    def _on_nudge(self, number: int, frame: Any) -> None:
        """In the main thread, in whatever greenlet is current."""
        thread = getcurrent()
        if not isinstance(thread, WorkerThread) or thread.job is None:
            return
        thread.die_if_told()
        if self._loop.sig_pending:
            gevent.sleep(A_TURN)
