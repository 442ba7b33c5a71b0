"""Standard input, output and error of `gresque work`: no process ever waits for a reader.

A pipe without a reader, a terminal stopped by Ctrl-S or a full disk would otherwise stop a whole
worker process in the middle of a `print`, and the master in the middle of a log line.
"""

from __future__ import annotations

import io
import os
import select
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from gresque.outlet import Outlet, count_lines, is_terminal
from gresque.unpatched import original

STDOUT, STDERR = 1, 2
NAMES = ("stdin", "stdout", "stderr")

_GONE = select.POLLERR | select.POLLHUP | select.POLLNVAL

_outlets: dict[int, Outlet] = {}


def open_missing() -> None:
    """Open descriptors 0 to 2 on /dev/null where they are closed, and make `sys.stdin`, `stdout`
    and `stderr` of them. Else the next file or socket that is opened would become one of them.

    Called before anything else, so that this has not happened yet.
    """
    for fd, name in enumerate(NAMES):
        closed = not _is_open(fd)
        if closed:
            become_null([fd])
        if getattr(sys, name) is None:
            file = fd if closed else os.open(os.devnull, os.O_RDWR)
            mode = "w" if fd else "r"
            stream = open(file, mode, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def never_wait() -> None:
    """From now on `sys.stdout` and `sys.stderr` never wait for a reader, and raise nothing, in this
    process and those that it forks. Lines are written as they end."""
    for fd in (STDOUT, STDERR):
        name = NAMES[fd]
        stream = getattr(sys, name)
        if fd in _outlets or not _is_stream_of(stream, fd):
            continue
        with suppress(OSError):
            stream.flush()
        outlet = _outlets[fd] = Outlet(fd, name)
        line_by_line = io.TextIOWrapper(
            outlet,
            encoding=stream.encoding,
            errors=stream.errors,
            newline="\n",
            line_buffering=True,
        )
        setattr(sys, name, line_by_line)
        setattr(sys, f"__{name}__", line_by_line)
        os.register_at_fork(after_in_child=outlet.start_afresh)


def outlets() -> list[Outlet]:
    """Those of stdout and stderr, after `never_wait`."""
    return [*_outlets.values()]


def drain() -> None:
    """Write output that was kept for slow readers; to be called now and then."""
    for each in _outlets.values():
        each.drain()


def flush() -> None:
    """Pass unfinished lines on, before a fork, which would double them, or the end."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # closed by a job
            stream.flush()


def say(text: str) -> None:
    """A line on stderr, from a signal handler."""
    with suppress(OSError):
        (_outlets.get(STDERR) or Outlet(STDERR, NAMES[STDERR])).write(text.encode())


def finish() -> None:
    """At the end of a process. Lines lost on stdout are reported on stderr."""
    flush()
    for fd, each in _outlets.items():  # stdout comes first
        lost = each.finish()
        if lost and fd == STDOUT and STDERR in _outlets:
            error = _outlets[STDERR]
            error.write(error.notice(f"{count_lines(lost)} missing on stdout: {each.cause}"))


def leave_terminal() -> None:
    """Terminals become /dev/null; files and pipes stay as they are."""
    become_null([fd for fd in range(len(NAMES)) if is_terminal(fd)])


def forget_gone_readers() -> list[str]:
    """An output that has lost its reader for good becomes /dev/null; returns the names of those.

    Else a program that a job starts would die of SIGPIPE when it prints. supervisord closes its end
    of the pipe when the master is dead.
    """
    poll = original("select", "poll")()
    for fd in (STDOUT, STDERR):
        poll.register(fd, 0)  # errors are reported in any case
    gone = [fd for fd, events in poll.poll(0) if events & _GONE and not _has_a_name(fd)]
    become_null(gone)
    return [NAMES[fd] for fd in gone]


def _has_a_name(fd: int) -> bool:
    """A pipe in the file system may get another reader."""
    try:
        return Path(f"/proc/self/fd/{fd}").readlink().is_fifo()
    except OSError:
        return False


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _is_stream_of(stream: Any, fd: int) -> bool:
    """False for a file object that a test or a notebook has put there."""
    try:
        return bool(stream.fileno() == fd)
    except (AttributeError, OSError, ValueError):
        return False


def become_null(fds: list[int]) -> None:
    """Make these descriptors /dev/null."""
    if not fds:
        return
    null = os.open(os.devnull, os.O_RDWR)
    for fd in fds:
        if fd != null:
            os.dup2(null, fd)
    if null in fds:
        os.set_inheritable(null, True)
    else:
        os.close(null)
    for each in _outlets.values():
        each.follow()
