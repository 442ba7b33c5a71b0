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
    """Go on in a process of a session of its own; the caller returns when that one works.

    `run(works)` is called in the background; it calls `works()` once it works, and returns the
    exit code. The working directory stays, and so do standard input, output and error, unless they
    are a terminal: what is said until it works still shows there, then they become /dev/null.

    Returns the exit code, twice: in the caller 0 once it works, or the code of what ended before
    it did; in the background the one of `run`.
    """
    fork = original("os", "fork")
    told, tell = os.pipe()
    stdio.flush()
    between = fork()
    if between:
        os.close(tell)
        return _wait_for(between)
    os.setsid()
    master = fork()
    if master:  # a leader of a session could get a terminal by opening one; so not the master
        os.close(tell)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os._exit(0 if os.read(told, 1) else _wait_for(master) or NEVER_WORKED)
    os.close(told)

    def works() -> None:
        stdio.leave_terminal()
        # Whoever waited may have gone.
        with suppress(BrokenPipeError):
            os.write(tell, b"w")

    return run(works)


def _wait_for(pid: int) -> int:
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF
    except KeyboardInterrupt:
        # Ctrl-C does not reach the other session.
        os.killpg(pid, signal.SIGINT)
        raise
