"""The overseer: the master's eye on worker processes that give no sign of life."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from gresque.master.child import Child
from gresque.processes import stack_dump
from gresque.processes.scoreboard import GUARDED, KillReason, slot_in
from gresque.unpatched import original

log = logging.getLogger("gresque.master")

DUMP_SECONDS = 1.0
FROZEN_SECONDS = 1.5
"""In a process whose pulse stands still for this long no kill can land."""

PROXY_SECONDS = 2.0

LOOK_SECONDS = 0.2
"""How often the overseer looks while some pulse stands still or a kill is under way."""

_LONGEST_LOOK_SECONDS = 1.5
"""A look that was further from the last one counts as this: the master may have been stopped
together with its processes."""

KILLS = (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)


@dataclass
class _Watch:
    """What is known of one process: its pulse, and what was done about it."""

    pulse: int = 0
    still_seconds: float = 0.0
    asked: signal.Signals | None = None
    """A kill that was passed on to it, since when its pulse has not been felt."""
    asked_at: float = 0.0
    dumped: bool = False
    killed: bool = False
    deputy: int | None = None


class FreezeMonitor:
    """Sees to processes in which no thread gets the GIL: C code holds it, or they are stopped.

    Such a process heeds no signal, hears no order and gives no heartbeat; none of its own means can
    help. Its pulse, which its watcher writes to the scoreboard ten times a second, stands still.
    Then, from outside:

    1. it is asked to dump where it stands, which the interpreter does without the GIL;
    2. a deputy is forked, which beats for it in Redis, tells who blocks it, and takes its orders;
    3. when its jobs are to be killed, by a signal to the master, by an order that the deputy heard
       or by a timeout, it is killed itself: the guilty job fails, its neighbours are recovered.
    """

    def __init__(
        self, term_timeout: float, fork_frozen_proxy: Callable[[Child, float], int]
    ) -> None:
        """`fork_deputy(child, still_since)` returns the deputy's pid."""
        self._term_timeout = term_timeout
        self._fork_deputy = fork_frozen_proxy
        self._watches: dict[int, _Watch] = {}
        self._looked_at = time.monotonic()

    @property
    def busy(self) -> bool:
        """Whether to look again soon."""
        return any(w.asked is not None or w.still_seconds for w in self._watches.values())

    def note_signal(self, children: Collection[Child], number: signal.Signals) -> None:
        """This signal is being passed on to these processes."""
        for child in children:
            watch = self._watches.setdefault(child.pid, _Watch())
            if number in KILLS:
                watch.asked, watch.asked_at = number, time.monotonic()
                if child.row.pulse != watch.pulse:  # felt before the signal, not after it
                    watch.pulse, watch.still_seconds = child.row.pulse, 0.0
            elif number == signal.SIGTTIN and watch.dumped:
                log.info("where worker process %d stands:\n%s", child.pid, _told(child))

    def look(self, children: Collection[Child]) -> None:
        """Feel the pulse of each process, and see to those where it stands still."""
        now = time.monotonic()
        passed = min(now - self._looked_at, _LONGEST_LOOK_SECONDS)
        self._looked_at = now
        for child in children:
            watch = self._watches.setdefault(child.pid, _Watch())
            pulse = child.row.pulse
            if pulse and pulse == watch.pulse:
                watch.still_seconds += passed
                self._see_to(child, watch, now)
            else:
                watch.pulse, watch.still_seconds = pulse, 0.0
                watch.asked, watch.dumped = None, False
                if watch.deputy is not None:
                    # What the deputy condemned it for may have ended by now: another job may have
                    # its slot. Who asked for the kill asks again.
                    child.row.clear_blame()
                    self._recall(watch)

    def _see_to(self, child: Child, watch: _Watch, now: float) -> None:
        still = watch.still_seconds
        if watch.killed:
            return
        if still >= DUMP_SECONDS and not watch.dumped:
            stack_dump.empty(child.row.dump)
            child.signal(stack_dump.SIGNAL)
            watch.dumped = True
        if child.row.blamed is not None:  # the deputy says so
            self._kill(child, watch)
        elif watch.asked is not None and min(still, now - watch.asked_at) >= FROZEN_SECONDS:
            self._resolve(child, watch, now - watch.asked_at)
        elif still >= PROXY_SECONDS and watch.deputy is None:
            watch.deputy = self._fork_deputy(child, now - still)

    def _resolve(self, child: Child, watch: _Watch, waited: float) -> None:
        """A signal means the running jobs, and none of them can be reached."""
        word = child.row.blocker(stack_dump.read(child.row.dump))
        if word & GUARDED and waited < self._term_timeout:
            return
        slot = slot_in(word)
        if watch.asked == signal.SIGUSR1 and slot is not None:  # a shutdown blames nobody
            child.row.blame(slot, KillReason.KILLED)
        self._kill(child, watch)

    def _kill(self, child: Child, watch: _Watch) -> None:
        told = "no kill can reach the jobs of worker process %d: SIGKILL\n%s"
        watch.killed = child.killed = True
        child.signal(signal.SIGKILL)
        log.error(told, child.pid, _told(child))

    def forget(self, pid: int) -> None:
        """This process has ended."""
        watch = self._watches.pop(pid, None)
        if watch is not None:
            self._recall(watch)

    def _recall(self, watch: _Watch) -> None:
        """A deputy holds nothing, so it needs no farewell."""
        if watch.deputy is not None:
            os.kill(watch.deputy, signal.SIGKILL)
            original("os", "waitpid")(watch.deputy, 0)
            watch.deputy = None


def _told(child: Child) -> str:
    stack = stack_dump.read(child.row.dump).stack
    if not stack:
        return "    (it does not say where it stands: stopped, or waiting in the kernel)"
    return "\n".join(f"    {line}" for line in stack)
