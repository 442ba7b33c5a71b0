"""Ctrl-C and its kind, handled only where nothing can be left half done."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Interrupts:
    """Turns these signals into one KeyboardInterrupt, raised inside a `allowed` block only.

    Everywhere else they wait for the next such block: a KeyboardInterrupt between the start of a
    child and the note that it has to be ended would leave that child behind, and one in the middle
    of the clearing up would leave the rest. A second one raises nothing. After the end none is
    handled: the process exits then, which an impatient Ctrl-C would only disturb.
    """

    def __init__(self) -> None:
        self._noted = False
        self._heeding = False
        self._raised = False
        self._taken: list[signal.Signals] = []

    def __enter__(self) -> Interrupts:
        for number in _NUMBERS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # by nohup, or in the background
                signal.signal(number, self._note)
                self._taken.append(number)
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        for number in self._taken:
            signal.signal(number, signal.SIG_IGN)  # the interpreter's end leaves that as it is
        # Ctrl-C goes to the whole group: it may have hit a child that had not left it yet.
        if self._noted and isinstance(error, Exception):
            raise KeyboardInterrupt from error

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Raise KeyboardInterrupt in this block, at once when the signal has come before."""
        try:
            self._heeding = True
            self._raise_if_due()
            yield
        finally:
            self._heeding = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._noted = True
        self._raise_if_due()

    def _raise_if_due(self) -> None:
        if self._noted and self._heeding and not self._raised:
            self._raised = True
            raise KeyboardInterrupt
