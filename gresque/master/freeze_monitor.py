"""The master's watch over worker processes in which no thread gets the GIL."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from gresque.logs import UNCUT, fields
from gresque.master.child import Child
from gresque.processes import stack_dump
from gresque.processes.scoreboard import GUARDED, KillReason, slot_in
from gresque.processes.state import ProcessState
from gresque.unpatched import original

log = logging.getLogger("gresque.master")

DUMP_SECONDS = 1.0
FROZEN_SECONDS = 1.5
"""No kill can reach the jobs of a process whose pulse has not changed for this long."""

DUMP_AGAIN_SECONDS = 2.0
"""A dump that shows no job may have come just before the job that is to blame."""

PROXY_SECONDS = 2.0

CHECK_SECONDS = 0.2
"""How often to check while the pulse of some process does not change or a kill is under way."""

_LONGEST_GAP_SECONDS = 1.0
"""A longer gap between two checks counts as this only: the whole machine may have stood still, so
one check proves nothing. The pulse of a live process changes before the next checks."""

KILLS = (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)


@dataclass
class _Watch:
    """The pulse of one process, and what was done about it."""

    pulse: int = 0
    still_seconds: float = 0.0
    signalled: signal.Signals | None = None
    """A kill that was passed on to the process, which has not taken it in yet."""
    signalled_at: float = 0.0
    dumped_at: float | None = None
    """The seconds without a pulse after which its last dump was requested."""
    killed: bool = False
    proxy_pid: int | None = None


class FreezeMonitor:
    """Handles processes in which no thread gets the GIL: C code holds it, or they are stopped.

    Such a process handles no signal, receives no command and sends no heartbeat; nothing within it
    can help. Its pulse, which its loop monitor writes to the scoreboard ten times a second, does
    not change. Then, from outside:

    1. The process gets a signal at which the interpreter dumps its stacks, without the GIL.
    2. A proxy is forked. It sends the heartbeat, publishes which job blocks the process, and takes
       its commands.
    3. When its jobs are to be killed, by a signal to the master, by a command that the proxy took,
       or by a timeout, the process is killed: the blamed job fails, the others are recovered.
    """

    def __init__(self, term_timeout: float, fork_proxy: Callable[[Child, float], int]) -> None:
        """`fork_proxy(child, still_since)` returns the pid of the proxy."""
        self._term_timeout = term_timeout
        self._fork_proxy = fork_proxy
        self._watches: dict[int, _Watch] = {}
        self._checked_at = time.monotonic()

    @property
    def busy(self) -> bool:
        """Whether to check again soon."""
        return any(w.signalled is not None or w.still_seconds for w in self._watches.values())

    def note_signal(self, children: Collection[Child], number: signal.Signals) -> None:
        """This signal is about to be passed on to these processes."""
        for child in children:
            watch = self._watches.setdefault(child.pid, _Watch())
            if number in KILLS:
                watch.signalled, watch.signalled_at = number, time.monotonic()
                if child.row.pulse != watch.pulse:  # it changed before the signal, not after it
                    watch.pulse, watch.still_seconds = child.row.pulse, 0.0
            elif number == signal.SIGTTIN and watch.dumped_at is not None:
                log.info(
                    "stack of %s:\n%s",
                    child,
                    _stack_of(child),
                    extra=fields("stacks", child_pid=child.pid, **UNCUT),
                )

    def check(self, children: Collection[Child]) -> None:
        """Compare the pulse of each process with the last one, and act where it is the same."""
        now = time.monotonic()
        passed = min(now - self._checked_at, _LONGEST_GAP_SECONDS)
        self._checked_at = now
        for child in children:
            if not child.kind.takes_jobs:
                continue
            watch = self._watches.setdefault(child.pid, _Watch())
            pulse = child.row.pulse
            if pulse and pulse == watch.pulse:
                watch.still_seconds += passed
                self._handle_still(child, watch, now)
            else:
                watch.pulse, watch.still_seconds = pulse, 0.0
                watch.dumped_at = None
                # A pulse alone proves nothing: the job that hangs may have begun just after it.
                if not pulse or _has_taken_in(child, watch.signalled):
                    watch.signalled = None
                if watch.proxy_pid is not None:
                    # The job that the proxy blamed may have ended by now, and another one may have
                    # its slot. A kill that is still wanted is asked for again.
                    child.row.clear_blame()
                    self._end_proxy(watch)

    def _handle_still(self, child: Child, watch: _Watch, now: float) -> None:
        still = watch.still_seconds
        if watch.killed:
            return
        if self._is_dump_due(child, watch):
            stack_dump.empty(child.row.dump)
            child.signal(stack_dump.SIGNAL)
            watch.dumped_at = still
        if child.row.blamed is not None:  # the proxy says so
            self._kill(child, watch)
        elif watch.signalled is not None and min(still, now - watch.signalled_at) >= FROZEN_SECONDS:
            self._resolve(child, watch, now - watch.signalled_at)
        elif still >= PROXY_SECONDS and watch.proxy_pid is None:
            watch.proxy_pid = self._fork_proxy(child, now - still)

    def _is_dump_due(self, child: Child, watch: _Watch) -> bool:
        if watch.dumped_at is None:
            return watch.still_seconds >= DUMP_SECONDS
        if watch.still_seconds - watch.dumped_at < DUMP_AGAIN_SECONDS:
            return False
        if child.row.blocker(stack_dump.read(child.row.dump)):
            watch.dumped_at = float("inf")  # the last one
            return False
        return True

    def _resolve(self, child: Child, watch: _Watch, waited: float) -> None:
        """The signal was to end the running jobs, and cannot reach them."""
        word = child.row.blocker(stack_dump.read(child.row.dump))
        if word & GUARDED and waited < self._term_timeout:
            return
        slot = slot_in(word)
        if watch.signalled == signal.SIGUSR1 and slot is not None:  # a shutdown blames no job
            child.row.blame(slot, KillReason.KILLED)
        self._kill(child, watch)

    def _kill(self, child: Child, watch: _Watch) -> None:
        watch.killed = True
        child.kill()
        log.error(
            "%s is frozen (no thread gets the GIL); sending SIGKILL\n%s",
            child,
            _stack_of(child),
            extra=fields("frozen_process_killed", child_pid=child.pid),
        )

    def forget(self, pid: int) -> None:
        """This process has ended."""
        watch = self._watches.pop(pid, None)
        if watch is not None:
            self._end_proxy(watch)

    def _end_proxy(self, watch: _Watch) -> None:
        """A proxy holds no jobs, so it may be killed at any time."""
        if watch.proxy_pid is not None:
            os.kill(watch.proxy_pid, signal.SIGKILL)
            original("os", "waitpid")(watch.proxy_pid, 0)
            watch.proxy_pid = None


def _has_taken_in(child: Child, kill: signal.Signals | None) -> bool:
    row = child.row
    if kill == signal.SIGUSR1:
        return row.kills_done == row.kills
    return row.state >= ProcessState.DRAINING


def _stack_of(child: Child) -> str:
    stack = stack_dump.read(child.row.dump).stack
    if not stack:
        return "    (no stack: it is stopped, or waits in the kernel)"
    return "\n".join(f"    {line}" for line in stack)
