"""Passing the failures of a process to the failure backends of the application."""

from __future__ import annotations

import _thread
import logging
import threading
from collections import deque

from gresque.errors import BootError
from gresque.failure.reporters import Failure, FailureBackend, make_reporters, reporter_names
from gresque.forked import call_user_code
from gresque.jobs.hooks import call_hook
from gresque.logs import fields

log = logging.getLogger("gresque.failure")

CALLERS = 10
"""Failures that are passed on at the same time."""
WAITING = 1000
"""Failures that wait; a backend that falls behind further does not get all of them."""
FINISH_SECONDS = 5.0
"""The time for which a process that leaves waits for failures that are being passed on."""


class FailureReporter:
    """Passes failures to the failure backends that the setting names beside that of Redis.

    They are called in greenlets of their own (native threads where nothing is patched), so a
    backend that hangs or raises holds up no job, no settling and no shutdown. Every failure stands
    in Redis in any case.
    """

    def __init__(self, setting: str) -> None:
        self._names = reporter_names(setting)
        self._backends: list[FailureBackend] | None = None
        self._lock, self._opening = threading.Lock(), threading.Lock()
        self._waiting: deque[Failure] = deque()
        self._callers = 0
        self._idle = threading.Event()
        self._idle.set()
        self._left_out = 0

    @property
    def has_backends(self) -> bool:
        """Whether the setting names any."""
        return bool(self._names)

    def open(self) -> None:
        """Make the backends. Raises BootError."""
        self._backends = call_user_code(make_reporters, self._names) if self._names else []

    def report(self, failure: Failure) -> None:
        """Pass a failure to the backends. Does not wait, and never raises."""
        with self._lock:
            if len(self._waiting) >= WAITING:
                self._leave_out()
                return
            self._waiting.append(failure)
            if self._callers >= CALLERS:
                return
            self._callers += 1
            self._idle.clear()
        try:
            _thread.start_new_thread(self._pass_on, ())
        except RuntimeError as error:  # the machine has no thread left
            log.error(
                "a failure backend did not get a failure: %s",
                error,
                extra=fields("failure_not_reported", error=str(error)),
            )
            self._end_caller()

    def _leave_out(self) -> None:
        self._left_out += 1
        if self._left_out % WAITING == 1:
            names = ", ".join(self._names)
            log.error(
                "%s falls behind: it did not get %d failures, which stand in Redis",
                names,
                self._left_out,
                extra=fields("failures_left_out", backends=names, count=self._left_out),
            )

    def _pass_on(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    break
                failure = self._waiting.popleft()
            self._save(failure)
        self._end_caller()

    def _end_caller(self) -> None:
        with self._lock:
            self._callers -= 1
            if not self._callers:
                self._idle.set()

    def _save(self, failure: Failure) -> None:
        for backend in self._opened():
            try:
                call_hook(backend.save, (failure,), {})
            except BaseException:
                name = type(backend).__qualname__
                log.exception(
                    "the failure backend %s raised; the failure stands in Redis",
                    name,
                    extra=fields("failure_backend_raised", backend=name, queue=failure.queue),
                )

    def _opened(self) -> list[FailureBackend]:
        """A recovery makes them when it has a failure to pass on."""
        with self._opening:
            if self._backends is None:
                try:
                    self.open()
                except BootError as error:
                    log.error(
                        "%s; the failures stand in Redis",
                        error,
                        extra=fields("failure_backend_not_made", error=str(error)),
                    )
                    self._backends = []
            return self._backends or []

    def finish(self, seconds: float = FINISH_SECONDS) -> None:
        """Wait for what is being passed on, for `seconds` at most."""
        if self._names and not self._idle.wait(max(seconds, 0)):
            names = ", ".join(self._names)
            log.error(
                "left before %s had all failures; they stand in Redis",
                names,
                extra=fields("failures_unfinished", backends=names),
            )
