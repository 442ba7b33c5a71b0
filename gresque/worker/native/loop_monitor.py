"""The loop monitor: sees when the loop does not turn, and makes kills land all the same."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import time
from types import FrameType
from typing import Any, NoReturn

import gevent
from gevent import get_hub, getcurrent
from gevent.hub import Hub
from gevent.monkey import get_original

import gresque.stdio as stdio
from gresque.errors import JobKilled, JobTimeout
from gresque.logs import fields
from gresque.outlet import after_write, in_write
from gresque.processes import stack_dump
from gresque.processes.scoreboard import KillReason, Row
from gresque.worker.fork_watch import forks_now
from gresque.worker.native.blockers import GIVE_UP_SECONDS, Blocked, Blockers
from gresque.worker.native.heartbeat import TICK_SECONDS, Heartbeat
from gresque.worker.native.master_wishes import MasterWishes
from gresque.worker.native.watched import WatchedJobs
from gresque.worker.threads.end_log import describe
from gresque.worker.threads.kills import KILLED_BY_USR1, Kill
from gresque.worker.threads.origin import root_of
from gresque.worker.threads.pool import ThreadPool
from gresque.worker.threads.thread import A_TURN, WorkerThread

log = logging.getLogger("gresque.loop_monitor")

CHECK_SECONDS = 0.1
BLOCKED_SECONDS = 0.2
"""A loop that has not turned for this long is blocked by the job that runs."""

GAP_SECONDS = 1.0
"""After a longer time between two checks this process had no CPU, or C code held the GIL."""

FORGIVEN_EVERY_SECONDS = 10.0

INTERRUPT = signal.SIGURG  # ignored by default: one that comes too late does no harm

_set_handler: Any = get_original("signal", "signal")
_get_handler: Any = get_original("signal", "getsignal")


class LoopMonitor:
    """A native thread beside the loop. Every 100 ms it asks the loop for a sign of life, and gives
    one itself on the scoreboard.

    A job that never yields keeps the loop from handling signals and from throwing kills. Then the
    monitor sends the process a signal of its own, whose handler Python runs in the very greenlet
    that has the CPU. There it raises JobKilled if that job is to be killed, and no other; or, when
    signals or other kills wait, it lets the loop turn once. A loop that is blocked for
    HUB_BLOCKED_SECONDS is logged, with the job and its stack.

    A job may also block through a greenlet or a thread that it started. That one is logged with the
    job, and dies when the job is killed and it blocks. When the job has ended, it dies at its
    second block of HUB_BLOCKED_SECONDS.

    While C code holds the GIL this thread stands still, too: see `master.freeze_monitor`.
    """

    def __init__(
        self,
        pool: ThreadPool,
        row: Row,
        wishes: MasterWishes,
        hub_blocked_seconds: float,
        guarded_seconds: float,
    ) -> None:
        """`guarded_seconds`: how long a kill waits for a job in an `uninterruptible` section."""
        self._thread_pool = pool
        self._guarded_seconds = max(guarded_seconds, GIVE_UP_SECONDS)
        self._row = row
        self._wishes = wishes
        self._loop: Any = get_hub().loop
        self._leave: Any = get_original("_thread", "allocate_lock")()
        self.main_thread = get_original("_thread", "get_ident")()  # patched, it names a greenlet
        self.root = root_of(getcurrent())
        self._blockers = Blockers(self.main_thread, self.root, wishes, hub_blocked_seconds)
        self._turned = self._asked = self._checked = time.monotonic()
        self._back_at = float("-inf")
        """When the last gap ended."""
        self._question = self._loop.async_()
        self.watched = WatchedJobs(pool, self.main_thread)

    @property
    def blocked(self) -> Blocked | None:
        return self._blockers.blocked

    def start(self, heartbeat: Heartbeat) -> None:
        """Called in the main thread, as the constructor is. Starts the heartbeat as well, a second
        later."""
        self._take_interrupts()
        faulthandler.register(stack_dump.SIGNAL, self._row.dump, all_threads=True)
        self._row.beat()
        self._question.start(self._answer)
        self._leave.acquire()
        get_original("_thread", "start_new_thread")(self._run, (heartbeat,))

    def stop(self) -> None:
        self._leave.release()

    def _take_interrupts(self) -> None:
        _set_handler(INTERRUPT, self._on_interrupt)

    def _answer(self) -> None:
        self._turned = time.monotonic()

    # In the native thread

    def _run(self, heartbeat: Heartbeat | None) -> None:
        heartbeat_at = time.monotonic() + TICK_SECONDS
        while not self._leave.acquire(timeout=CHECK_SECONDS):
            try:
                if heartbeat is not None and time.monotonic() >= heartbeat_at:
                    heartbeat.start()
                    heartbeat = None
                self._check()
                stdio.drain()
            except Exception:
                log.exception("the loop monitor failed", extra=fields("loop_monitor_failed"))
        self._row.stop_beating()

    def _check(self) -> None:
        now = time.monotonic()
        self._row.beat()
        self._forgive_gap(now)
        self._kill_overdue_jobs(now)
        self._carry_out_overdue_orders(now)
        self.watched.sample(now)
        self._row.note_lag((self._turned if self._turned >= self._asked else now) - self._asked)
        if self._turned >= self._asked:
            self._asked = now
            self._blockers.note_turn()
            self._question.send()
        elif now - self._asked > BLOCKED_SECONDS:
            self._blockers.check(now, self._asked)
            if self._something_waits():
                signal.pthread_kill(self.main_thread, INTERRUPT)
        self._replace_process_if_kills_fail(now)

    def _forgive_gap(self, now: float) -> None:
        """Let the times of what is waited for begin again after a gap, as nothing could happen in a
        process without CPU. Not after each gap: a job may hold the GIL again and again."""
        if now - self._checked > GAP_SECONDS and now - self._back_at > FORGIVEN_EVERY_SECONDS:
            self._back_at = now
            self._wishes.wait_again()
            self._blockers.wait_again(now)
        self._checked = now

    def _kill_overdue_jobs(self, now: float) -> None:
        for thread in list(self._thread_pool.threads):
            if thread.known is not None:
                thread.forget_ended()
            deadline = thread.deadline
            if deadline is None or deadline is thread.passed_deadline or deadline[1] > now:
                continue
            # Its deadline is not cleared here: it may be that of the next job by now.
            thread.passed_deadline = deadline
            if deadline[0] is thread.job:
                ran = f"it ran for over {deadline[1] - thread.since:g} s"
                self._thread_pool.kill_from_outside(
                    thread, Kill(deadline[0], ran, False, now, JobTimeout)
                )

    def _carry_out_overdue_orders(self, now: float) -> None:
        if _get_handler(INTERRUPT) != self._on_interrupt:
            self._loop.run_callback_threadsafe(self._take_interrupts)
        wish = self._wishes.check(now)
        if wish is None:
            return
        self._loop.run_callback_threadsafe(wish.do)
        if self._wishes.kill_is_overdue:
            # If the loop does not turn, these land by an interrupt, or the process is replaced.
            for thread in list(self._thread_pool.threads):
                job = thread.job
                if job is not None:
                    self._thread_pool.kill_from_outside(
                        thread, Kill(job, KILLED_BY_USR1, False, now)
                    )

    def _something_waits(self) -> bool:
        if self._loop.sig_pending or self._wishes.overdue is not None:
            return True
        if self._blockers.killed is not None:
            return True
        return any(thread.to_kill is not None for thread in list(self._thread_pool.threads))

    def _replace_process_if_kills_fail(self, now: float) -> None:
        """Kill the process when a job ignores its kills; its master forks another one."""
        blocker = self._blockers.current_greenlet
        # Of several that are to die, the one that keeps the others from dying is to blame.
        for thread in sorted(self._thread_pool.threads, key=lambda each: each is not blocker):
            kill = thread.to_kill
            if kill is None or kill.job is not thread.job or kill.requeue:
                continue  # a shutdown's SIGKILL comes from the master, after RESQUE_TERM_TIMEOUT
            limit = self._guarded_seconds if thread.guarded else GIVE_UP_SECONDS
            if now - max(kill.since, self._back_at) < limit:
                continue
            log.error(
                "did not die within %.1f s, its process is replaced: %s",
                now - kill.since,
                describe(kill.job),
                extra=fields("kill_failed", queue=kill.job[1], seconds=round(now - kill.since, 3)),
            )
            timed_out = issubclass(kill.error, JobTimeout)
            self._row.blame(
                int(kill.job[0]), KillReason.TIMED_OUT if timed_out else KillReason.KILLED
            )
            self._kill_process()

    def _kill_process(self) -> NoReturn:
        stack_dump.empty(self._row.dump)
        faulthandler.dump_traceback(self._row.dump, all_threads=True)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable")

    # In the main thread

    def _on_interrupt(self, number: int, frame: Any) -> None:
        """Called in the greenlet that has the CPU."""
        current = getcurrent()
        if current is self.root:
            return
        if in_write(frame):
            after_write(lambda caller: self._on_interrupt(number, caller))
            return
        if isinstance(current, Hub):
            self._end_callback(frame)
            return
        if isinstance(current, WorkerThread):
            if current.job is None:
                return
            current.raise_kill()
        elif (killed := self._blockers.killed) is not None and killed.greenlet is current:
            killed.raise_kill(frame)
        # Perhaps the kill of another job, which waits for the loop.
        if self._something_waits() and not forks_now(frame):
            gevent.sleep(A_TURN)

    def _end_callback(self, frame: FrameType | None) -> None:
        """In the loop itself. gevent catches what a callback raises, and goes on."""
        killed = self._blockers.killed
        is_killed = killed is not None and killed.greenlet is getcurrent()
        if is_killed and frame is not None and frame.f_code is not Hub.run.__code__:
            raise JobKilled("it blocked the loop")
