"""Standard input, output and error of processes that outlive who reads them."""

from __future__ import annotations

import os

from gresque.unpatched import original

STANDARD = (0, 1, 2)


def leave_terminal() -> None:
    """What is a terminal becomes /dev/null; files and pipes stay as they are."""
    _become_null([fd for fd in STANDARD if _is_terminal(fd)])


def outlive_readers() -> None:
    """From now on, an output whose reader goes away becomes /dev/null.

    For a worker process without a master. supervisord closes its end of the pipe when the master
    is dead; a job that prints would fail by BrokenPipeError, though all it does is to print.
    """
    original("_thread", "start_new_thread")(_watch_readers, ())


def _watch_readers() -> None:
    poll = original("select", "poll")()
    watched = {1, 2}
    for fd in watched:
        poll.register(fd, 0)  # errors are told unasked: a pipe that nobody reads is one
    while watched:
        gone = [fd for fd, _ in poll.poll()]
        _become_null(gone)
        for fd in gone:
            poll.unregister(fd)
            watched.remove(fd)


def _is_terminal(fd: int) -> bool:
    try:
        return os.isatty(fd)
    except OSError:  # closed
        return False


def _become_null(fds: list[int]) -> None:
    if not fds:
        return
    null = os.open(os.devnull, os.O_RDWR)
    for fd in fds:
        os.dup2(null, fd)
    os.close(null)
