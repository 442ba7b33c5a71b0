"""Going into the background: BACKGROUND, `--daemon`."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress

import gresque.stdio as stdio
from gresque.unpatched import original

NEVER_WORKED = 1


def run_in_background(run: Callable[[Callable[[], None]], int]) -> int:
    """Continue in a process with a session of its own; the caller returns when that one works.

    `run(works)` is called in the background. It calls `works()` when the first worker process
    works, and returns the exit code. The working directory stays the same, and so do standard
    input, output and error. A terminal among these becomes /dev/null when `works()` is called.

    Returns the exit code, in two processes: in the caller 0 when the background process works, or
    the code of the process that ended before; in the background the one of `run`.
    """
    fork = original("os", "fork")
    works_read, works_write = os.pipe()
    stdio.flush()
    between = fork()
    if between:
        os.close(works_write)
        return _wait_for(between)
    os.setsid()
    master = fork()
    if master:  # the leader of a session could get a terminal by opening one; the master is none
        os.close(works_write)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os._exit(0 if os.read(works_read, 1) else _wait_for(master) or NEVER_WORKED)
    os.close(works_read)

    def works() -> None:
        stdio.leave_terminal()
        with suppress(BrokenPipeError):  # the caller may have been killed
            os.write(works_write, b"w")

    return run(works)


def _wait_for(pid: int) -> int:
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF
    except KeyboardInterrupt:
        # Ctrl-C does not reach the other session.
        os.killpg(pid, signal.SIGINT)
        raise
