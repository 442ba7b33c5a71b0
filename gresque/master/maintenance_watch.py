"""The master's watch over a maintenance process that lives and does nothing any more."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection

from gresque.logs import UNCUT, fields
from gresque.master.child import Child
from gresque.processes import stack_dump
from gresque.processes.kind import Kind

log = logging.getLogger("gresque.master")

HUNG_SECONDS = 120.0
"""Far above what a step of a task takes, the import of job modules included."""

DUMP_SECONDS = HUNG_SECONDS - 5.0

LONGEST_GAP_SECONDS = 3.0
"""A longer time between two looks counts as this: the master may have been stopped, too."""


class MaintenanceWatch:
    """A hook, a failure backend or a file system may never return, and then no dead host is
    recovered any more. The process beats on the scoreboard with each step; one that does not for
    HUNG_SECONDS is killed, and another one is forked. It holds no jobs."""

    def __init__(self) -> None:
        self._of: tuple[int, int] = (0, 0)
        """Its pid and its last beat."""
        self._still_seconds = 0.0
        self._dumped = False
        self._looked_at = time.monotonic()

    def check(self, children: Collection[Child]) -> None:
        now = time.monotonic()
        passed = min(now - self._looked_at, LONGEST_GAP_SECONDS)
        self._looked_at = now
        for child in children:
            if child.kind is Kind.MAINTENANCE and not child.killed:
                self._check(child, passed)

    def _check(self, child: Child, passed: float) -> None:
        found = child.pid, child.row.pulse
        if found != self._of:
            self._of, self._still_seconds, self._dumped = found, 0.0, False
            return
        self._still_seconds += passed
        if self._still_seconds >= HUNG_SECONDS:
            self._kill(child)
        elif self._still_seconds >= DUMP_SECONDS and not self._dumped:
            self._dumped = True
            stack_dump.empty(child.row.dump)
            child.signal(stack_dump.SIGNAL)

    def _kill(self, child: Child) -> None:
        child.kill()
        stack = stack_dump.read(child.row.dump).stack
        log.error(
            "%s has done nothing for %d s; it is killed and replaced\n%s",
            child,
            self._still_seconds,
            "\n".join(f"    {line}" for line in stack) or "    (no stack: it is stopped)",
            extra=fields("maintenance_hung", child_pid=child.pid, **UNCUT),
        )
