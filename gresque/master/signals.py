"""The signals of the master: noted in a pipe, read in its loop."""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import gresque.stdio as stdio
from gresque.forked import disown, own
from gresque.unpatched import original

_c_signal = importlib.import_module("_signal")

HANDLED = (
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

AT_ONCE = (signal.SIGTERM, signal.SIGQUIT)
"""They end the master at once until it is ready."""

WAKE_BYTE = b"\0"
"""A worker process writes it to make the master look at the scoreboard."""


class SignalPipe:
    """Python's wakeup descriptor: the interpreter writes each signal's number into it, and the
    handlers do nothing. Worker processes write to it too, to wake the master.

    It is made before the job modules are imported, so that no signal is lost. Until `get_ready` a
    signal that ends the master does so at once: nothing is held yet, and an import may hang.
    """

    def __init__(self) -> None:
        self._read, self.write_fd = os.pipe()
        own(self._read)
        own(self.write_fd)
        os.set_blocking(self._read, False)
        os.set_blocking(self.write_fd, False)
        # Before the handlers: a signal in between would be noted nowhere.
        signal.set_wakeup_fd(self.write_fd, warn_on_full_buffer=False)
        for number in HANDLED:
            if number != signal.SIGINT:  # for it Python raises KeyboardInterrupt
                _set_handler(number, _exit_now if number in AT_ONCE else _note)

    def get_ready(self) -> None:
        """From now on note every signal, in place of any handlers of the job modules."""
        for number in HANDLED:
            _set_handler(number, _note)
        self._select = original("select", "select")

    def note_children(self) -> None:
        """Note SIGCHLD again, after a hook: when a hook starts a process, gevent takes SIGCHLD."""
        _set_handler(signal.SIGCHLD, _note)

    def wait(self, seconds: float) -> Iterator[signal.Signals]:
        """Wait at most `seconds` for a signal; yields those that came, in order. A CONT comes after
        one that ends the master: so service managers send them, and of two that wait the kernel
        calls the handler of the second one first."""
        self._select([self._read], [], [], seconds)
        try:
            noted = os.read(self._read, 4096)
        except BlockingIOError:
            return
        ends = any(number in endable.SIGNALS for number in noted)
        for number in sorted(noted, key=lambda number: ends and number == signal.SIGCONT):
            if number in HANDLED:
                yield signal.Signals(number)

    def wake(self) -> None:
        """Called in a worker process: have the master look at the scoreboard."""
        # A full pipe wakes the master as well; with a broken one the master is gone.
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(self.write_fd, WAKE_BYTE)

    def leave_to_child(self) -> None:
        """In a forked child: give up the master's handlers; the child sets its own."""
        # The functions in C: the wrappers, and what they call, are read into memory for this alone.
        set_handler: Any = _c_signal.signal
        _c_signal.set_wakeup_fd(-1)
        for number in HANDLED:
            if number == signal.SIGCONT:
                continue  # the default would drop a pending one: the call to a standby
            # A HUP to a worker process means the master, which replaces them one by one.
            ignored = number == signal.SIGHUP
            set_handler(number, _c_signal.SIG_IGN if ignored else _c_signal.SIG_DFL)
        disown(self._read)
        original("os", "close")(self._read)


def _set_handler(number: signal.Signals, handler: Any) -> None:
    original("signal", "signal")(number, handler)  # gevent's keeps SIGCHLD to itself


def _exit_now(number: int, frame: Any) -> None:
    # Not by an exception, which an import that is under way may catch.
    stdio.say("gresque: ended by a signal before it had started\n")
    os._exit(0)


def _note(number: int, frame: Any) -> None:
    """The number is in the pipe already."""


ENDED_AT_START = (signal.SIGTERM, signal.SIGINT)
"""The signals that a worker process dies of when it is to leave while it imports."""


class endable:
    """Lets TERM, INT and QUIT end a child at once. Other signals stay blocked until the child has
    its handlers. An import may take a minute, and nothing is held yet."""

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
    """Blocks signals during a fork: the child unblocks them when it has its handlers."""

    def __enter__(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)

    def __exit__(self, *exc_info: object) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
