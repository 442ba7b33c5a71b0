"""The master's orders on the scoreboard that its signals have not brought about."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from gresque.logs import fields
from gresque.processes.scoreboard import Ending, Row
from gresque.processes.state import ProcessState
from gresque.worker.orders import Orders

log = logging.getLogger("gresque.worker")

SIGNAL_SECONDS = 1.0
"""A signal that has done nothing for this long will not do it any more."""

WHY = "a job blocks the loop, or has set a handler of its own for the signal"


class Wish(NamedTuple):
    """Something the master wants that has not been done yet."""

    what: str
    wanted: Any
    do: Callable[[], None]


class MasterWishes:
    """Compares the scoreboard with the orders that this process has carried out.

    A job may replace the handler of any signal, or block it: then the master's signal does nothing.
    The loop monitor checks ten times a second; an order that the signal has not brought about
    within a second is carried out without it.
    """

    def __init__(self, row: Row, orders: Orders) -> None:
        self._row = row
        self._orders = orders
        self._since: float | None = None
        self.overdue: Wish | None = None
        """An order that no signal has brought, and that the loop has not carried out either."""

    @property
    def kill_is_overdue(self) -> bool:
        return self.overdue is not None and self.overdue.do == self._kill

    @property
    def everything_ends(self) -> bool:
        """Whether the process is terminated, or should have been."""
        if self._orders.ending is Ending.TERMINATE:
            return True
        return self.overdue is not None and self.overdue.do == self._orders.terminate

    def check(self, now: float) -> Wish | None:
        """An order that is overdue, once a second; called in the loop monitor's thread."""
        wish = next(self._wishes(), None)
        if wish is None:
            self._since = self.overdue = None
            return None
        if self._since is None:
            self._since = now
        if now - self._since < SIGNAL_SECONDS:
            return None
        self._since = now  # if the loop does not do it, it is asked again
        if wish != self.overdue:
            self.overdue = wish
            log.warning(
                "%s: the signal did nothing, so it is done without; %s",
                wish.what,
                WHY,
                extra=fields("signal_overdue", order=wish.what),
            )
        return wish

    def wait_again(self) -> None:
        """Let the time of a signal begin again: this process had no CPU to handle it."""
        self._since = None

    def _wishes(self) -> Iterator[Wish]:
        row, orders = self._row, self._orders
        ending = row.ending
        if ending > orders.ending:
            if ending is Ending.TERMINATE:
                yield Wish("shutdown (TERM, INT)", ending, orders.terminate)
            else:
                yield Wish("shutdown or replacement (QUIT)", ending, orders.quit)
        if row.kills != row.kills_done:
            yield Wish("kill of the running jobs (USR1)", row.kills, self._kill)
        if row.paused and not orders.pause_seen:
            yield Wish("pause (USR2)", True, self._pause)
        elif (orders.pause_seen and not row.paused) or self._is_called:
            yield Wish("end of a pause, or call to work (CONT)", False, self._resume)

    @property
    def _is_called(self) -> bool:
        return self._row.state is ProcessState.STANDING_BY and not self._row.stands_by

    def _kill(self) -> None:
        """Not twice, when the loop was asked twice: other jobs may run by now."""
        if self._row.kills != self._row.kills_done:
            self._orders.kill_jobs()

    def _pause(self) -> None:
        """The master may have changed its mind until the loop gets here, and while this runs."""
        if self._row.paused:
            self._orders.pause()
            self._orders.pause_seen = True

    def _resume(self) -> None:
        if self._is_called or not self._row.paused:
            self._orders.resume()
            self._orders.pause_seen = False
