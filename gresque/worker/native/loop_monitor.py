"""The watcher: sees when the loop does not turn, and makes kills land all the same."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import time
import weakref
from types import FrameType
from typing import Any, NamedTuple, NoReturn

import gevent
from gevent import get_hub, getcurrent
from gevent.hub import Hub
from gevent.monkey import get_original
from greenlet import greenlet

import gresque.stdio as stdio
from gresque.errors import JobKilled, JobTimeout
from gresque.processes import stack_dump
from gresque.processes.scoreboard import KillReason, Row
from gresque.worker.fork_watch import forks_now
from gresque.worker.native.master_wishes import MasterWishes
from gresque.worker.native.stacks import Standing, blocking
from gresque.worker.threads.kills import KILLED_BY_USR1, Kill
from gresque.worker.threads.origin import origin_of, root_of
from gresque.worker.threads.outcome import describe
from gresque.worker.threads.pool import ThreadPool
from gresque.worker.threads.thread import A_TURN, WorkerThread

log = logging.getLogger("gresque.watcher")

LOOK_SECONDS = 0.1
BLOCKED_SECONDS = 0.2
"""A loop that has not turned for this long is blocked by the job that runs."""

GIVE_UP_SECONDS = 1.7
"""A job that swallows every kill for this long takes its process along."""

NUDGE = signal.SIGURG  # ignored by default: one that comes too late does no harm


STRIKES = 2
"""How often a greenlet that no running job started may block for HUB_BLOCKED_SECONDS."""

LEAVING_SECONDS = 1.0
"""In a shutdown what no job has started may block for so long: a hook's thread, for example."""

LEFT_BEHIND = "it blocked the loop, and belongs to no running job"


_set_handler: Any = get_original("signal", "signal")
_get_handler: Any = get_original("signal", "getsignal")


class Blocked(NamedTuple):
    """The loop has not turned since then (monotonic), because of what stands there."""

    since: float
    by: Standing


class Hog:
    """What has kept the loop from turning: a WorkerThread, or a greenlet that a job started."""

    def __init__(self, found: greenlet) -> None:
        self._found = weakref.ref(found)  # it is remembered beyond its end
        self.origin = None if isinstance(found, WorkerThread) else origin_of(found)
        # A callback of the loop or of a greenlet's end; or GEVENT_TRACK_GREENLET_TREE is off.
        traced = not isinstance(found, Hub) and getattr(found, "spawning_greenlet", None)
        self._untraceable = self.origin is None and not traced
        self.strikes = 0
        self.struck_at = 0.0
        self.told: float | bool = False
        """Whether the log tells of it; of a WorkerThread, when the job began for which it does."""
        self.doomed_at: float | None = None
        self.stopped = False
        """It swallows every kill: it is left standing where it is."""

    @property
    def greenlet(self) -> greenlet | None:
        return self._found()

    @property
    def runs_on(self) -> bool:
        """Whether the job that started it runs."""
        return self.origin is not None and self.origin.runs

    @property
    def left_behind(self) -> bool:
        """Whether a job started it that has ended; or nobody who is known, as far as it is no
        WorkerThread."""
        return self._untraceable if self.origin is None else not self.origin.runs


class LoopMonitor:
    """A native thread beside the loop. Every 100 ms it asks the loop for a sign of life, and gives
    one itself on the scoreboard.

    A job that never yields keeps the loop from handling signals and from throwing kills. Then the
    watcher sends the process a signal of its own, whose handler Python runs in the very greenlet
    that hogs the CPU. There it raises JobKilled if that job is to be killed, and nobody else's;
    or, when signals or other kills wait, it lets the loop turn once. A loop that is blocked for
    HUB_BLOCKED_SECONDS is told of in the log, with the job and where it stands.

    A job may also block through a greenlet or a thread that it started. That one is told of with
    the job, and dies when the job is killed and it blocks. When the job has ended, it dies at its
    second block of HUB_BLOCKED_SECONDS.

    While C code holds the GIL this thread stands still, too: see `master.freeze_monitor`.
    """

    def __init__(
        self,
        pool: ThreadPool,
        row: Row,
        wishes: MasterWishes,
        hub_blocked_seconds: float,
        patience_seconds: float,
    ) -> None:
        """`patience_seconds`: how long a kill waits for a job in an `uninterruptible` section."""
        self.blocked: Blocked | None = None
        self._thread_pool = pool
        self._hub_blocked_seconds = hub_blocked_seconds
        self._patience_seconds = max(patience_seconds, GIVE_UP_SECONDS)
        self._hog: Hog | None = None
        self._hogs: list[Hog] = []
        """Those that were told of and may live still."""
        self._row = row
        self._wishes = wishes
        self._loop: Any = get_hub().loop
        self._leave: Any = get_original("_thread", "allocate_lock")()
        self.main_thread = get_original("_thread", "get_ident")()  # patched, it names a greenlet
        self.root = root_of(getcurrent())
        self._turned = self._asked = time.monotonic()
        self._question = self._loop.async_()

    def start(self) -> None:
        """Called in the main thread, as the constructor is."""
        self._take_nudges()
        faulthandler.register(stack_dump.SIGNAL, self._row.dump, all_threads=True)
        self._row.beat()
        self._question.start(self._answer)
        self._leave.acquire()
        get_original("_thread", "start_new_thread")(self._run, ())

    def _take_nudges(self) -> None:
        _set_handler(NUDGE, self._on_nudge)

    def stop(self) -> None:
        self._leave.release()

    def _answer(self) -> None:
        self._turned = time.monotonic()

    def _run(self) -> None:
        while not self._leave.acquire(timeout=LOOK_SECONDS):
            try:
                self._look()
                stdio.drain()
            except Exception:
                log.exception("the watcher failed")
        self._row.stop_beating()

    def _look(self) -> None:
        now = time.monotonic()
        self._row.beat()
        self._end_the_overdue(now)
        self._do_what_no_signal_brought(now)
        self._row.note_lag((self._turned if self._turned >= self._asked else now) - self._asked)
        if self._turned >= self._asked:
            self._asked = now
            self.blocked = None
            if self._hog is not None and isinstance(self._hog.greenlet, Hub):
                self._hogs.remove(self._hog)  # the next callback is another one
            self._hog = None
            self._question.send()
        elif self._blocks(now):
            self._see_who_blocks(now)
            if self._something_waits():
                signal.pthread_kill(self.main_thread, NUDGE)
        self._give_up_on_the_immortal(now)

    def _do_what_no_signal_brought(self, now: float) -> None:
        if _get_handler(NUDGE) != self._on_nudge:
            self._loop.run_callback_threadsafe(self._take_nudges)
        wish = self._wishes.check(now)
        if wish is None:
            return
        self._loop.run_callback_threadsafe(wish.do)
        if self._wishes.kill_is_overdue:
            # Should the loop not turn, these land by a nudge, or take the process along.
            for thread in list(self._thread_pool.threads):
                job = thread.job
                if job is not None and not thread.must_die(job):
                    self._thread_pool.kill_from_outside(
                        thread, Kill(job, KILLED_BY_USR1, False, now)
                    )

    def _see_who_blocks(self, now: float) -> None:
        last = None if self._hog is None else self._hog.greenlet
        found = blocking(self.main_thread, self.root, last)
        if found is None:
            self._hog = None
            return
        blocker, by = found
        hog = self._hog = self._known(blocker)
        seconds, limit = now - self._asked, self._hub_blocked_seconds
        if limit and seconds >= limit:
            self.blocked = Blocked(self._asked, by)
            self._tell(hog, by, seconds)
            if hog.left_behind and now - hog.struck_at >= limit:
                hog.strikes += 1
                hog.struck_at = now
        if hog.doomed_at is None and self._must_die(hog, seconds):
            hog.doomed_at = now
            log.warning("killed because it blocks the loop: %s", by)
        elif hog.doomed_at and now - hog.doomed_at >= GIVE_UP_SECONDS and not hog.stopped:
            hog.stopped = True  # of a job that runs the process is replaced, with that job
            if not hog.runs_on:
                log.error("swallows every kill, and is stopped for good: %s", by)

    def _known(self, blocker: greenlet) -> Hog:
        for hog in self._hogs:
            if hog.greenlet is blocker:
                return hog
        self._hogs = [hog for hog in self._hogs if hog.greenlet]  # a dead greenlet is false
        self._hogs.append(Hog(blocker))
        return self._hogs[-1]

    def _tell(self, hog: Hog, by: Standing, seconds: float) -> None:
        """Told once per job, or per greenlet that a job started: thousands of others wait."""
        thread = hog.greenlet
        about = thread.since if isinstance(thread, WorkerThread) else True  # a job would be kept
        if hog.told != about:
            hog.told = about
            log.warning("the loop has not turned for %.1f s, because of %s", seconds, by)

    def _must_die(self, hog: Hog, seconds: float) -> bool:
        """Whether this greenlet, which is no WorkerThread, is to be killed as it blocks."""
        if isinstance(hog.greenlet, Hub) and self._wishes.kill_is_overdue:
            return True
        if isinstance(hog.greenlet, WorkerThread) or hog.greenlet is self.root:
            return False
        if hog.origin is not None and hog.origin.wanted_dead is not None:
            return True
        if self._wishes.everything_ends and (hog.origin is not None or seconds >= LEAVING_SECONDS):
            return True
        return hog.strikes >= STRIKES

    def _end_the_overdue(self, now: float) -> None:
        for thread in list(self._thread_pool.threads):
            if thread.spawned is not None:
                thread.forget_spawned()
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

    def _something_waits(self) -> bool:
        if self._loop.sig_pending or self._wishes.overdue is not None:
            return True
        if self._hog is not None and self._hog.doomed_at is not None:
            return True
        return any(thread.to_kill is not None for thread in list(self._thread_pool.threads))

    def _give_up_on_the_immortal(self, now: float) -> None:
        hog = self._hog
        blocker = None if hog is None else hog.greenlet
        # Of several that are to die, the one that keeps the others from dying is to blame.
        for thread in sorted(self._thread_pool.threads, key=lambda each: each is not blocker):
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
            self._row.blame(
                int(kill.job[0]), KillReason.TIMED_OUT if timed_out else KillReason.KILLED
            )
            self._die()

    def _blocks(self, now: float) -> bool:
        return self._turned < self._asked and now - self._asked > BLOCKED_SECONDS

    def _die(self) -> NoReturn:
        stack_dump.empty(self._row.dump)
        faulthandler.dump_traceback(self._row.dump, all_threads=True)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable")

    def _on_nudge(self, number: int, frame: Any) -> None:
        """In the main thread, in whatever greenlet is current."""
        current = getcurrent()
        if current is self.root:
            return
        if isinstance(current, Hub):
            self._end_callback(frame)
            return
        if isinstance(current, WorkerThread):
            if current.job is None:
                return
            current.raise_kill()
        else:
            hog = self._hog
            if hog is not None and hog.doomed_at is not None and hog.greenlet is current:
                self._end(hog, frame)
        # Perhaps the kill of another job, which waits for the loop.
        if self._something_waits() and not forks_now(frame):
            gevent.sleep(A_TURN)

    def _end_callback(self, frame: FrameType | None) -> None:
        """In the loop itself. gevent catches what a callback raises, and goes on."""
        hog = self._hog
        doomed = hog is not None and hog.doomed_at is not None and hog.greenlet is getcurrent()
        if doomed and frame is not None and frame.f_code is not Hub.run.__code__:
            raise JobKilled("it blocked the loop")

    def _end(self, hog: Hog, frame: FrameType | None) -> None:
        """Called in the greenlet itself. One that swallows every kill never gets the CPU again."""
        if hog.stopped and not hog.runs_on and not _logs(frame):
            get_hub().switch()
        kill = None if hog.origin is None else hog.origin.wanted_dead
        raise JobKilled(LEFT_BEHIND) if kill is None else kill.error(kill.reason)


def _logs(frame: FrameType | None) -> bool:
    """Whether it may hold a lock that every other log line needs."""
    while frame is not None:
        if frame.f_globals.get("__name__") == logging.__name__:
            return True
        frame = frame.f_back
    return False
