"""The greenlets that block the loop, and what is done about them."""

from __future__ import annotations

import logging
import weakref
from types import FrameType
from typing import NamedTuple

from gevent import get_hub
from gevent.hub import Hub
from greenlet import greenlet

from gresque.errors import JobKilled
from gresque.logs import fields
from gresque.worker.native.master_wishes import MasterWishes
from gresque.worker.native.stacks import GreenletStack, blocking
from gresque.worker.threads.origin import origin_of
from gresque.worker.threads.thread import WorkerThread

log = logging.getLogger("gresque.loop_monitor")

GIVE_UP_SECONDS = 1.7
"""If a job ignores every kill for this long, its process is killed."""

STRIKES = 2
"""How often a greenlet that no running job started may block for HUB_BLOCKED_SECONDS."""

LEAVING_SECONDS = 1.0
"""How long a greenlet that no job started, such as a hook's thread, may block in a shutdown."""

LEFT_BEHIND = "it blocked the loop, and belongs to no running job"


class Blocked(NamedTuple):
    """The loop has not turned since then (monotonic), because of this greenlet."""

    since: float
    by: GreenletStack


class Blocker:
    """A greenlet that has kept the loop from turning: a WorkerThread, or one that a job started."""

    def __init__(self, found: greenlet) -> None:
        self._found = weakref.ref(found)  # this object outlives it
        self.origin = None if isinstance(found, WorkerThread) else origin_of(found)
        # A callback of the loop or of a greenlet's end has none; nor has any greenlet with
        # GEVENT_TRACK_GREENLET_TREE off.
        traced = not isinstance(found, Hub) and getattr(found, "spawning_greenlet", None)
        self._untraceable = self.origin is None and not traced
        self.strikes = 0
        self.struck_at = 0.0
        self.logged: float | bool = False
        """Whether it is in the log; of a WorkerThread, when the job began for which it is."""
        self.killed_at: float | None = None
        self.is_stopped = False
        """It ignores every kill, and never gets the CPU again."""

    @property
    def greenlet(self) -> greenlet | None:
        return self._found()

    @property
    def job_runs(self) -> bool:
        """Whether the job that started it runs."""
        return self.origin is not None and self.origin.runs

    @property
    def left_behind(self) -> bool:
        """Whether the job that started it has ended, or nothing is known of its start. A
        WorkerThread is never left behind."""
        return self._untraceable if self.origin is None else not self.origin.runs

    def raise_kill(self, frame: FrameType | None) -> None:
        """Called in the greenlet itself. One that ignores every kill never gets the CPU again."""
        if self.is_stopped and not self.job_runs and not _logs(frame):
            get_hub().switch()
        kill = None if self.origin is None else self.origin.wanted_dead
        raise JobKilled(LEFT_BEHIND) if kill is None else kill.error(kill.reason)


class Blockers:
    """The greenlet that blocks the loop now, and those that did. The loop monitor's thread checks
    them; the main thread raises their kills."""

    def __init__(
        self, main_thread: int, root: greenlet, wishes: MasterWishes, hub_blocked_seconds: float
    ) -> None:
        self._main_thread = main_thread
        self._root = root
        self._wishes = wishes
        self._hub_blocked_seconds = hub_blocked_seconds
        self.blocked: Blocked | None = None
        """Since HUB_BLOCKED_SECONDS at least."""
        self._current: Blocker | None = None
        self._remembered: list[Blocker] = []
        """Those that were logged and may live still."""

    @property
    def current_greenlet(self) -> greenlet | None:
        """The one that blocks now."""
        current = self._current
        return None if current is None else current.greenlet

    @property
    def killed(self) -> Blocker | None:
        """The one that blocks now, if it is to die."""
        current = self._current
        return None if current is None or current.killed_at is None else current

    def note_turn(self) -> None:
        """The loop has turned."""
        self.blocked = None
        if self._current is not None and isinstance(self._current.greenlet, Hub):
            self._remembered.remove(self._current)  # the next callback is another one
        self._current = None

    def wait_again(self, now: float) -> None:
        """Let the time of a kill begin again: this process had no CPU."""
        if self.killed is not None:
            self.killed.killed_at = now

    def check(self, now: float, since: float) -> None:
        """The loop has not turned since then, both on the monotonic clock."""
        found = blocking(self._main_thread, self._root, self.current_greenlet)
        if found is None:
            self._current = None
            return
        its_greenlet, by = found
        blocker = self._current = self._known(its_greenlet)
        seconds, limit = now - since, self._hub_blocked_seconds
        if limit and seconds >= limit:
            self.blocked = Blocked(since, by)
            self._log_block(blocker, by, seconds)
            if blocker.left_behind and now - blocker.struck_at >= limit:
                blocker.strikes += 1
                blocker.struck_at = now
        if blocker.killed_at is None:
            if self._must_die(blocker, seconds):
                blocker.killed_at = now
                log.warning(
                    "killed because it blocks the loop: %s", by, extra=fields("blocker_killed")
                )
        elif now - blocker.killed_at >= GIVE_UP_SECONDS and not blocker.is_stopped:
            blocker.is_stopped = True  # where its job runs, the process is replaced
            if not blocker.job_runs:
                log.error(
                    "ignores every kill, and is stopped for good: %s",
                    by,
                    extra=fields("blocker_stopped"),
                )

    def _known(self, found: greenlet) -> Blocker:
        for blocker in self._remembered:
            if blocker.greenlet is found:
                return blocker
        # A dead greenlet is false.
        self._remembered = [each for each in self._remembered if each.greenlet]
        self._remembered.append(Blocker(found))
        return self._remembered[-1]

    def _log_block(self, blocker: Blocker, by: GreenletStack, seconds: float) -> None:
        """Once per job, or per greenlet that a job started."""
        thread = blocker.greenlet
        about = thread.since if isinstance(thread, WorkerThread) else True  # a job would be kept
        if blocker.logged != about:
            blocker.logged = about
            log.warning(
                "the loop has not turned for %.1f s, because of %s",
                seconds,
                by,
                extra=fields("loop_blocked", seconds=round(seconds, 3)),
            )

    def _must_die(self, blocker: Blocker, seconds: float) -> bool:
        """Whether this greenlet, which is no WorkerThread, is to be killed as it blocks."""
        if isinstance(blocker.greenlet, Hub) and self._wishes.kill_is_overdue:
            return True
        if isinstance(blocker.greenlet, WorkerThread) or blocker.greenlet is self._root:
            return False
        if blocker.origin is not None and blocker.origin.wanted_dead is not None:
            return True
        if self._wishes.everything_ends and (blocker.origin or seconds >= LEAVING_SECONDS):
            return True
        return blocker.strikes >= STRIKES


def _logs(frame: FrameType | None) -> bool:
    """Whether it may hold a lock that every other log line needs."""
    while frame is not None:
        if frame.f_globals.get("__name__") == logging.__name__:
            return True
        frame = frame.f_back
    return False
