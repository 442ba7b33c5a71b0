"""How the master receives signals: noted in a pipe, read in its loop."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import gresque.stdio as stdio
from gresque.forked import disown, own
from gresque.unpatched import original

HEEDED = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGCONT,
    signal.SIGHUP,
    signal.SIGTTIN,
    signal.SIGCHLD,
)

ENDING = (signal.SIGTERM, signal.SIGQUIT)

WAKE_BYTE = b"\0"
"""What a worker process writes to make the master look at the scoreboard."""


class SignalPipe:
    """Python's wakeup descriptor: the interpreter writes each signal's number into it, and the
    handlers do nothing. Worker processes write to it too, to wake the master.

    Made before the job modules are imported, so that no signal is lost. One that ends the master
    does so at once until `get_ready`: nothing is held yet, and an import may hang.
    """

    def __init__(self) -> None:
        self._read, self.write_fd = os.pipe()
        own(self._read)
        own(self.write_fd)
        os.set_blocking(self._read, False)
        os.set_blocking(self.write_fd, False)
        # Before the handlers: a signal in between would be noted nowhere.
        signal.set_wakeup_fd(self.write_fd, warn_on_full_buffer=False)
        for number in HEEDED:
            if number != signal.SIGINT:  # whose KeyboardInterrupt Python raises by itself
                _set_handler(number, _leave if number in ENDING else _note)

    def get_ready(self) -> None:
        """From now on every signal is noted, whatever handlers the job modules have set."""
        for number in HEEDED:
            _set_handler(number, _note)
        self._select = original("select", "select")

    def hear_children(self) -> None:
        """After a hook: gevent listens to SIGCHLD from the first process on that one starts."""
        _set_handler(signal.SIGCHLD, _note)

    def wait(self, seconds: float) -> Iterator[signal.Signals]:
        """The signals that came, in order, after waiting for one at most `seconds`."""
        self._select([self._read], [], [], seconds)
        try:
            noted = os.read(self._read, 4096)
        except BlockingIOError:
            return
        for number in noted:
            if number in HEEDED:
                yield signal.Signals(number)

    def wake(self) -> None:
        """Called in a worker process: have the master look at the scoreboard."""
        # A full pipe wakes the master as well; a broken one has no master at its end.
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(self.write_fd, WAKE_BYTE)

    def leave_to_child(self) -> None:
        """In a forked child: signals to it are no longer the master's; it sets its own handlers."""
        signal.set_wakeup_fd(-1)
        for number in HEEDED:
            if number == signal.SIGCONT:
                continue  # the default would throw away one that waits: the call to a standby
            # A HUP to one worker process is not for it: the master rolls them.
            ignored = number == signal.SIGHUP
            _set_handler(number, signal.SIG_IGN if ignored else signal.SIG_DFL)
        disown(self._read)
        os.close(self._read)


def _set_handler(number: signal.Signals, handler: Any) -> None:
    original("signal", "signal")(number, handler)  # gevent's keeps SIGCHLD to itself


def _leave(number: int, frame: Any) -> None:
    # Not by an exception, which an import that is under way may catch.
    stdio.say("gresque: ended by a signal before it had started\n")
    os._exit(0)


def _note(number: int, frame: Any) -> None:
    """The number is in the pipe already."""


ENDED_AT_START = (signal.SIGTERM, signal.SIGINT)
"""What a worker process dies of that is to leave while it imports."""


class endable:
    """In a child whose other signals wait until it has handlers for them: lets TERM, INT and QUIT
    end it at once. An import may take a minute, and nothing is held yet."""

    SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)

    def __enter__(self) -> None:
        _set_handler(signal.SIGQUIT, _end)  # its default would leave a core dump
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self.SIGNALS)

    def __exit__(self, *exc_info: object) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, self.SIGNALS)


def _end(number: int, frame: Any) -> None:
    _set_handler(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)


class signals_blocked:
    """Keeps signals pending during a fork: the child lets them in when it can heed them."""

    def __enter__(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, HEEDED)

    def __exit__(self, *exc_info: object) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEEDED)
