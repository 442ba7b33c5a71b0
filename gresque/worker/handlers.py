"""Signal handlers that jobs set: what they raise hits the jobs, and never gresque itself."""

from __future__ import annotations

import functools
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from types import FrameType, TracebackType
from typing import Any

from gevent import getcurrent
from gevent.exceptions import HubDestroyed
from greenlet import greenlet

from gresque.errors import JobKilled
from gresque.forked import call_user_code
from gresque.logs import fields
from gresque.raised import exception_name

log = logging.getLogger("gresque.worker")

REMEDY = "for a limit of time, declare the job with timeout_seconds"

_watchers: dict[signal.Signals, Any] = {}
"""gevent's handlers by which this worker process receives signals. C sets them: Python does not
know of them, and reports that the signals have their default effect."""

_pid = 0

_is_ours: Callable[[Any], bool] | None = None
"""Whether a greenlet runs the code of gresque itself now; None outside of worker processes."""


class _Guarded:
    """A handler. Python runs it in the greenlet that the main thread is in: often in the loop, or
    between two jobs, where an exception would end the process or lose the end of a job."""

    def __init__(self, handler: Callable[[int, FrameType | None], Any]) -> None:
        self.handler = handler
        self._logged_at = float("-inf")

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if _is_ours is None or not _is_ours(getcurrent()):
            self.handler(number, frame)
            return
        try:
            call_user_code(self.handler, number, frame)
        except BaseException as error:
            self._log(number, error)

    def _log(self, number: int, error: BaseException) -> None:
        """At most once a second: a timer may fire a thousand times."""
        now = time.monotonic()
        if now - self._logged_at >= 1.0:
            self._logged_at = now
            name = signal.Signals(number).name
            log.error(
                "a job's handler of %s raised %s while no job had the CPU; it is dropped; %s",
                name,
                exception_name(error),
                REMEDY,
                extra=fields("handler_raised", signal=name, exception=exception_name(error)),
            )


def guard_handlers() -> None:
    """Guard every handler that is set from now on. Called once, after gevent's patches; it changes
    nothing until `protect`."""
    if hasattr(signal.signal, "unguarded"):
        return
    set_handler: Any = signal.signal
    get_handler: Any = signal.getsignal

    @functools.wraps(set_handler)
    def guarded_signal(signalnum: Any, handler: Any) -> Any:
        guarded = _Guarded(handler) if callable(handler) else handler
        former = bare(set_handler(signalnum, guarded))
        if handler == signal.SIG_DFL:
            _receive_again(signalnum)
        return former

    @functools.wraps(get_handler)
    def guarded_getsignal(signalnum: Any) -> Any:
        return bare(get_handler(signalnum))

    guarded_signal.unguarded = set_handler  # type: ignore[attr-defined]
    signal.signal, signal.getsignal = guarded_signal, guarded_getsignal


def _receive_again(signalnum: Any) -> None:
    """Code that set a handler for a while puts the default back, which would end the process."""
    watcher = _watchers.get(signalnum)
    if watcher is not None and os.getpid() == _pid:
        watcher.watcher.stop()
        watcher.watcher.start(watcher._start)


def bare(handler: Any) -> Any:
    """The handler as it was set."""
    return handler.handler if isinstance(handler, _Guarded) else handler


def protect(
    hub: Any,
    main: greenlet,
    runs_no_job: Callable[[Any], bool],
    watchers: Mapping[signal.Signals, Any],
) -> None:
    """In a worker process: keep the loop and the main greenlet from what handlers raise, and from
    what greenlets of a job end with. gevent throws SystemExit, and what is raised in the loop
    itself, into the main greenlet, which would end the process. `watchers` is number -> what
    `gevent.signal_handler` returned."""
    global _is_ours, _pid
    _pid = os.getpid()
    _watchers.update(watchers)
    _is_ours = lambda found: found is hub or found is main or runs_no_job(found)  # noqa: E731
    hub.SYSTEM_ERROR = ()
    hub.NOT_ERROR = (*hub.NOT_ERROR, JobKilled)  # it is logged where it is thrown
    handle_as_before: Any = hub.handle_error

    def handle_error(context: Any, kind: Any, value: Any, trace: TracebackType | None) -> None:
        if context is None and not issubclass(kind, HubDestroyed):
            name = kind.__name__ if value is None else exception_name(value)
            log.error(
                "%s was raised in the loop, by a job's signal handler; it is dropped; %s",
                name,
                REMEDY,
                extra=fields("handler_raised", exception=name),
            )
            return
        handle_as_before(context, kind, value, trace)

    hub.handle_error = handle_error
    hub.print_exception = _log_uncaught
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _log_uncaught_of_thread


def _log_uncaught(
    context: Any, kind: Any, error: BaseException | None, trace: TracebackType | None
) -> None:
    """Log the exception that ended a greenlet of a job. gevent would print it to stderr, over many
    lines, among records that may be JSON."""
    raised: Any = (kind, error, trace)
    uncaught = fields("exception_uncaught", source=context)
    log.error(
        "%s failed with an exception that nothing caught", context, exc_info=raised, extra=uncaught
    )


def _log_uncaught_of_thread(found: threading.ExceptHookArgs) -> None:
    """The same of a thread, which Python would print."""
    if not issubclass(found.exc_type, SystemExit | JobKilled):
        _log_uncaught(found.thread, found.exc_type, found.exc_value, found.exc_traceback)


def unprotect() -> None:
    """In a process that a job forks: the code there is the job's."""
    global _is_ours
    _is_ours = None
    if threading.excepthook is _log_uncaught_of_thread:
        threading.excepthook = threading.__excepthook__
