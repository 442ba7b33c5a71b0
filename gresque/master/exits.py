"""How children end, and what the log says of it."""

from __future__ import annotations

import logging
import os
import signal
from enum import Enum, auto

from gresque.logs import fields
from gresque.master.child import Child
from gresque.master.signals import ENDED_AT_START

log = logging.getLogger("gresque.master")

EXIT_OK, EXIT_BOOT_FAILED, EXIT_CUT_OFF = 0, 1, 2
"""Exit codes of a child. The master exits with the first two."""

_ENDED_AT_START = {-number for number in ENDED_AT_START}


class Exit(Enum):
    """How a child ended."""

    LEFT = auto()
    """It settled all its jobs."""
    STARTS_AFRESH = auto()
    """It was declared dead, or Redis refused to move some of its jobs. It has logged that."""
    CRASHED = auto()
    FAILED_BOOT = auto()
    ENDED_AT_START = auto()
    """It was to leave while it imported, and died of the signal."""


def exit_before_boot(status: int | None) -> Exit:
    """How a child ended that had not come up; `status` is that of `waitpid`, None if unknown."""
    return Exit.ENDED_AT_START if _code(status) in _ENDED_AT_START else Exit.FAILED_BOOT


def describe_death(status: int | None) -> str:
    """`exited with 1`, `was killed by SIGKILL`."""
    if status is None:
        return "ended, and its status was lost to a hook that waited for a process"
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        return f"was killed by {name}"
    return f"exited with {os.WEXITSTATUS(status)}"


def log_exit(child: Child, end: Exit, status: int | None) -> None:
    """Log an end that has not been logged yet."""
    if end is Exit.LEFT:
        return
    extra = fields("process_ended", child_pid=child.pid, kind=str(child.kind), code=_code(status))
    if child.killed:
        log.debug("%s ended: the master killed it", child, extra=extra)
    elif end is Exit.CRASHED:
        log.error("%s %s", child, describe_death(status), extra=extra)
    elif end is Exit.FAILED_BOOT and _code(status) != EXIT_BOOT_FAILED:
        log.error("%s %s at its start", child, describe_death(status), extra=extra)
    elif end is Exit.ENDED_AT_START:
        log.debug("%s was ended at its start", child, extra=extra)


def kill_overdue(child: Child) -> None:
    """End a child that was to leave and did not."""
    child.kill()
    log.error(
        "%s did not leave in time: SIGKILL",
        child,
        extra=fields("process_killed", child_pid=child.pid, kind=str(child.kind)),
    )


def _code(status: int | None) -> int | None:
    return None if status is None else os.waitstatus_to_exitcode(status)
