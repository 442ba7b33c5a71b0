"""A process that a job forks: it runs the job's code only, and is no worker.

gevent resumes every greenlet of the parent in a forked child as soon as the child waits for
something: other jobs would run twice, and the child would speak on the connections of the worker.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

from gevent import hub as gevent_hub
from gevent.hub import Hub
from gevent.subprocess import Popen
from greenlet import getcurrent, greenlet, settrace

import gresque.stdio as stdio
from gresque.forked import drop_descriptors, enter_child, is_own_fork
from gresque.processes import stack_dump
from gresque.unpatched import original
from gresque.worker import child_hub, fork_watch, handlers

SIGNALS = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGCONT,
    signal.SIGHUP,
    signal.SIGTTIN,
    signal.SIGURG,
)
"""To which a worker process listens, or which it ignores."""

_EXECUTE_CHILD: Any = Popen._execute_child.__code__
_get_handler, _set_handler = original("signal", "getsignal"), original("signal", "signal")

_one_fork: Any = original("_thread", "RLock")()
"""One native thread forks at a time. Hooks of the standard library take a lock of gevent's at each
fork, which is not made for two threads."""

_mask: set[signal.Signals] | set[int] | None = None
"""The signals that were blocked before the fork that is under way."""

_registered = False
_leave_worker: Callable[[greenlet], None] | None = None
"""Set in a worker process only. Without it user code forks in a master, or while it is imported."""


def watch_forks() -> None:
    """Call it right after gevent has patched, so that hooks of user modules run after this one."""
    global _registered
    if not _registered:
        _registered = True
        os.register_at_fork(
            before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
        )
        os.fork, os.waitpid = fork_watch.fork, fork_watch.waitpid


def be_worker(leave_worker: Callable[[greenlet], None]) -> None:
    """From now on this process is a worker: what user code forks from it is none.

    `leave_worker(current)` is called in each such child, before anything else can run.
    """
    global _leave_worker
    _leave_worker = leave_worker
    hub = child_hub.default_hub = gevent_hub.get_hub()
    hub.loop.reset_sigchld()  # the master's loop, if it has had one, may have listened


def _before() -> None:
    global _mask
    _one_fork.acquire()
    if is_own_fork():
        return
    # A signal to the child must find the child's handlers: here it would be lost.
    _mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    stdio.flush()  # else the child writes it once more
    # gevent listens to SIGCHLD only after it has forked its first child: one that ends at once
    # would never be reaped, and a greenlet that waits for it would wait for ever.
    if _leave_worker is not None:
        child_hub.default_hub.loop.install_sigchld()
    elif fork_watch.in_main_thread():
        loop = gevent_hub.get_hub().loop
        loop.reset_sigchld()  # the master has set its own handler since
        loop.install_sigchld()


def _after_in_parent() -> None:
    _unmask()
    _one_fork.release()


def _unmask() -> None:
    global _mask
    if _mask is not None:
        mask, _mask = _mask, None
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _after_in_child() -> None:
    _one_fork._at_fork_reinit()
    if is_own_fork():
        return  # the master forks a worker process
    try:
        enter_child()
        if _runs_a_program(sys._getframe(1)):
            _reset_signals()
            if _leave_worker is not None:
                child_hub.be_ready_to_leave(_leave)
        else:
            _leave()
        _unmask()
    except BaseException:
        # Python would go on after a hook that failed, as a second worker.
        traceback.print_exc()
        os._exit(1)


def _runs_a_program(forks: FrameType) -> bool:
    """Whether this is a child of `subprocess` in which nothing runs but hooks like this one, until
    a program takes its place. To leave the worker took a third of the time of such a child."""
    caller = forks.f_back
    return (
        caller is not None
        and caller.f_code is _EXECUTE_CHILD
        and caller.f_locals["preexec_fn"] is None
    )


def _leave() -> None:
    current = getcurrent()
    if _leave_worker is not None:
        _leave_worker(current)
    _reset_signals()
    drop_descriptors()
    if _leave_worker is None:
        return  # a hook of the master, or an import: no greenlets of gresque's are here
    if isinstance(current, Hub):
        settrace(_refuse)
    else:
        child_hub.leave_hub(current)


def _reset_signals() -> None:
    """The worker's handlers go; those that the job has set stay."""
    with suppress(ValueError):
        signal.set_wakeup_fd(-1)
    handlers.unprotect()
    faulthandler.unregister(stack_dump.SIGNAL)
    for number in SIGNALS:
        handler = handlers.bare(_get_handler(number))
        if not callable(handler) or _is_ours(handler):
            _set_handler(number, signal.SIG_DFL)


def _is_ours(handler: Any) -> bool:
    return str(getattr(handler, "__module__", "")).startswith("gresque.")


def _refuse(event: str, switch: Any) -> None:
    """The fork was made in a callback of the loop, where no other loop can take over."""
    sys.stderr.write(
        "gresque: a callback of gevent's loop has forked, and its child came back to the loop: it "
        "ends; fork in a greenlet, or end the child by os._exit()\n"
    )
    os._exit(1)
