"""What the master wants of a worker process, as it stands on the scoreboard beside the signals."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from gresque.processes.scoreboard import Ending, Row
from gresque.processes.state import ProcessState

log = logging.getLogger("gresque.worker")

SIGNAL_SECONDS = 1.0
"""A signal that has done nothing for so long will not do it any more."""

WHY = "a job blocks the loop, or has set a handler of its own for the signal"


class Wish(NamedTuple):
    """Something the master wants that has not been done yet."""

    what: str
    wanted: Any
    do: Callable[[], None]


class Wanted:
    """Compares the scoreboard with what this process has done.

    A job may replace the handler of any signal, or block it: then the master's signal does nothing.
    The watcher looks here ten times a second; what the signal has not brought about within a second
    is done without it.
    """

    def __init__(
        self,
        row: Row,
        *,
        quit: Callable[[], None],
        terminate: Callable[[], None],
        kill: Callable[[], None],
        pause: Callable[[], None],
        resume: Callable[[], None],
    ) -> None:
        """What the signals call, too; each of them calls `note_ending`, `note_kill` or
        `note_pause`."""
        self._row = row
        self._quit, self._terminate, self._kill = quit, terminate, kill
        self._pause, self._resume = pause, resume
        self.ending = Ending.NONE
        self._kills = row.kills
        self._paused = row.paused
        self._since: float | None = None
        self.overdue: Wish | None = None
        """What no signal has brought, and the loop has not done either."""

    def note_ending(self, ending: Ending) -> None:
        """The process ends, one way or the other."""
        self.ending = max(self.ending, ending)

    def note_kill(self) -> None:
        self._kills = self._row.kills
        self.note_pause()  # a kill ends a pause

    def note_pause(self) -> None:
        """What the master says of pauses and of standing by has been taken in."""
        self._paused = self._row.paused

    @property
    def kill_is_overdue(self) -> bool:
        return self.overdue is not None and self.overdue.do == self._kill_still

    @property
    def end_is_overdue(self) -> bool:
        return self.overdue is not None and self.overdue.do == self._terminate

    def look(self, now: float) -> Wish | None:
        """What is overdue, once a second; called in the watcher's thread."""
        wish = next(self._wishes(), None)
        if wish is None:
            self._since = self.overdue = None
            return None
        if self._since is None:
            self._since = now
        if now - self._since < SIGNAL_SECONDS:
            return None
        self._since = now  # should the loop not do it, it is asked again
        if wish != self.overdue:
            self.overdue = wish
            log.warning("%s: the signal did nothing, so it is done without; %s", wish.what, WHY)
        return wish

    def _wishes(self) -> Iterator[Wish]:
        row = self._row
        ending = row.ending
        if ending > self.ending:
            terminates = ending is Ending.TERMINATE
            what = "shutdown (TERM, INT)" if terminates else "shutdown or replacement (QUIT)"
            yield Wish(what, ending, self._terminate if terminates else self._quit)
        if row.kills != self._kills:
            yield Wish("kill of the running jobs (USR1)", row.kills, self._kill_still)
        if row.paused and not self._paused:
            yield Wish("pause (USR2)", True, self._pause_still)
        elif (self._paused and not row.paused) or self._is_called:
            yield Wish("end of a pause, or call to work (CONT)", False, self._resume_still)

    @property
    def _is_called(self) -> bool:
        return self._row.state is ProcessState.STANDING_BY and not self._row.stands_by

    def _kill_still(self) -> None:
        """Not twice, when the loop was asked twice: other jobs may run by now."""
        if self._row.kills != self._kills:
            self._kill()

    def _pause_still(self) -> None:
        """The master may have changed its mind until the loop gets here, and while this runs."""
        if self._row.paused:
            self._pause()
            self._paused = True

    def _resume_still(self) -> None:
        if self._is_called or not self._row.paused:
            self._resume()
            self._paused = False
