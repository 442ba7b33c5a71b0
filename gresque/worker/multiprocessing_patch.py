"""Processes and pipes in a worker: multiprocessing that waits in the loop.

gevent patches none of it. A pool reads its results in a thread, which is a greenlet here: without
this it would block the whole process for good, the job included that wants to end the pool.
"""

from __future__ import annotations

import _posixsubprocess
import os
import select
import time
from contextlib import suppress
from functools import partial
from multiprocessing import connection
from typing import Any

from gevent import get_hub
from gevent import os as gevent_os
from gevent._hub_local import get_hub_if_exists
from gevent.socket import wait_read, wait_write
from greenlet import getcurrent

from gresque.unpatched import original

LONGEST_PAUSE_SECONDS = 0.02
"""Between two looks at a lock that another process holds: its release wakes nobody."""


def patch_processes() -> None:
    """After gevent's own patches; more than once does no harm."""
    if isinstance(_posixsubprocess.fork_exec, partial):
        return
    os.close = _close
    connection.Connection._close.__defaults__ = (_close,)  # type: ignore[attr-defined]
    connection.Connection._recv.__defaults__ = (_read,)  # type: ignore[attr-defined]
    connection.Connection._send.__defaults__ = (_write,)  # type: ignore[attr-defined]
    _posixsubprocess.fork_exec = partial(start_program, _posixsubprocess.fork_exec)
    with suppress(ImportError):  # a system without semaphores
        from multiprocessing.synchronize import SemLock

        SemLock._make_methods = _make_methods  # type: ignore[attr-defined]
        SemLock.__enter__ = lambda lock: lock.acquire()  # type: ignore[method-assign]


def _can_wait() -> bool:
    hub = get_hub_if_exists()
    return hub is not None and getcurrent() is not hub


def _is_ready(fd: int, event: int) -> bool:
    poll = original("select", "poll")()
    poll.register(fd, event)
    return bool(poll.poll(0))


def _read(fd: int, size: int) -> bytes:
    if _can_wait():
        while not _is_ready(fd, select.POLLIN):
            wait_read(fd)
    return os.read(fd, size)


def _write(fd: int, data: Any) -> int:
    if not _can_wait():
        return os.write(fd, data)
    while not _is_ready(fd, select.POLLOUT):
        wait_write(fd)
    return os.write(fd, memoryview(data)[: select.PIPE_BUF])  # more might block


def _close(fd: int) -> None:
    """gevent's closes a descriptor when the loop has turned once more, which may be never: who
    closes its end of a pipe, and reads until the others have, would wait for itself. Only what a
    greenlet waits on has to be left to the loop."""
    hub = get_hub_if_exists()
    if hub is not None and hub.loop.closing_fd(fd):
        gevent_os.close(fd)
    else:
        original("os", "close")(fd)


def _make_methods(lock: Any) -> None:
    lock.acquire = partial(_acquire, lock._semlock)
    lock.release = lock._semlock.release


def _acquire(semlock: Any, block: bool = True, timeout: float | None = None) -> bool:
    if semlock.acquire(False):
        return True
    if not block:
        return False
    if not _can_wait():
        return bool(semlock.acquire(True, timeout))
    until = float("inf") if timeout is None else time.monotonic() + timeout
    pause = 0.001
    while not semlock.acquire(False):
        left = until - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(pause, left))
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
    return True


def start_program(fork_exec: Any, *arguments: Any) -> int:
    """How multiprocessing starts a process otherwise than by a fork. The loop has to know of it:
    it reaps every child, and the exit status of one that it does not know is lost."""
    hub = get_hub_if_exists()
    watched = hub is not None and hub.loop.default
    if watched:
        get_hub().loop.install_sigchld()
    pid: int = fork_exec(*arguments)
    if watched:
        gevent_os._watch_child(pid)
    return pid
