"""Forks in job code, and waiting for their children, from any thread.

gevent reaps every child in its loop. So the loop must know of a child before it may end, and no
code may wait for a child that the loop has reaped already.
"""

from __future__ import annotations

import os
from types import FrameType

from gevent import hub as gevent_hub
from gevent import os as gevent_os
from gevent.timeout import Timeout

from gresque.unpatched import original
from gresque.worker import child_hub, multiprocessing_patch

WATCHED_SECONDS = 1.0
"""How long a child that a native thread forks waits at most until the loop watches it."""

WAITPID_SECONDS = 0.005
ASK_AGAIN_SECONDS = 0.2
"""How often it is asked whether a child has ended, in other threads and in the main one."""

_FORKS = {
    function.__code__
    for function in (
        gevent_os.fork_and_watch,
        gevent_os.posix_spawn,
        multiprocessing_patch.start_program,
    )
}


def fork() -> int:
    """gevent's fork can be called in the main thread only: in another one it forks and raises."""
    if in_main_thread():
        return int(gevent_os.fork())
    watched, watching = os.pipe()
    pid: int = gevent_os.fork_gevent()
    # The child must not end before the loop knows of it: the loop would reap it unseen.
    if pid:
        child_hub.default_hub.loop.run_callback_threadsafe(_watch, pid, watching)
    else:
        os.close(watching)
    original("select", "select")([watched], [], [], WATCHED_SECONDS)
    os.close(watched)
    return pid


def forks_now(frame: FrameType | None) -> bool:
    """Whether `frame` is within a fork whose child the loop does not know of yet. If the loop
    turned now, it might reap that child, and the greenlet that waits for it would wait for ever."""
    while frame is not None:
        if frame.f_code in _FORKS:
            return True
        frame = frame.f_back
    return False


def _watch(pid: int, watching: int) -> None:
    gevent_os._watch_child(pid)
    os.close(watching)


def waitpid(pid: int, options: int) -> tuple[int, int]:
    """gevent's waitpid, in another thread than the main one without its loop.

    In the main thread it asks again now and then: gevent's misses the end of a child that the loop
    has reaped in the same turn, and would wait for ever.
    """
    if pid <= 0 or options & os.WNOHANG:
        return gevent_os.waitpid(pid, options)  # type: ignore[no-any-return]
    while not (ended := gevent_os.waitpid(pid, options | os.WNOHANG))[0]:
        if not in_main_thread():
            original("time", "sleep")(WAITPID_SECONDS)
        elif pid not in gevent_os._watched_children:
            return gevent_os.waitpid(pid, options)  # type: ignore[no-any-return]
        else:
            with Timeout(ASK_AGAIN_SECONDS, False):
                return gevent_os.waitpid(pid, options)  # type: ignore[no-any-return]
    return ended  # type: ignore[no-any-return]


def in_main_thread() -> bool:
    return bool(gevent_hub.get_thread_ident() == gevent_hub.MAIN_THREAD_IDENT)
