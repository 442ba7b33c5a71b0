"""Orders to this process alone, given from outside through Redis: pause, continue, recycle."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic
from typing import Any

from gevent.monkey import get_original

from gresque.logs import fields
from gresque.processes.scoreboard import Row
from gresque.processes.state import ProcessState
from gresque.store.commands import OrderAnswer
from gresque.worker.orders import Orders

log = logging.getLogger("gresque.worker")

LOOK_SECONDS = 0.01
WAIT_SECONDS = 0.5
"""For the loop to carry an order out; the heartbeat does nothing else meanwhile."""


class ProcessOrders:
    """Carries them out in the loop, as the signals of the master: they are the same orders, so the
    same states follow. Called in the heartbeat's thread.

    An order stands on the scoreboard first. Where a job blocks the loop, it is carried out later,
    as one whose signal got lost (see `MasterWishes`).
    """

    def __init__(self, row: Row, orders: Orders, loop: Any, held: Callable[[], int]) -> None:
        """`held` is how many jobs the process holds."""
        self._row = row
        self._orders = orders
        self._loop = loop
        self._held = held
        self._carry_out: dict[str, tuple[Callable[[], None], Callable[[], bool]]] = {
            "pause": (self._pause, self._takes_no_jobs),
            "continue": (self._continue, lambda: row.state is not ProcessState.PAUSED),
            "recycle": (orders.quit, lambda: row.state.may_be_replaced),
        }

    def knows(self, name: str) -> bool:
        return name in self._carry_out

    def run(self, name: str, by: str) -> OrderAnswer:
        """Carry it out; the answer says in which state the process is then."""
        carry_out, is_done = self._carry_out[name]
        log.info(
            "%s asks this process to %s", by or "an operator", name,
            extra=fields("process_ordered", order=name, by=by or None),
        )  # fmt: skip
        if name != "recycle":
            self._row.paused = name == "pause"
        self._loop.run_callback_threadsafe(carry_out)
        deadline = monotonic() + WAIT_SECONDS
        while not is_done() and monotonic() < deadline:
            get_original("select", "select")([], [], [], LOOK_SECONDS)
        return OrderAnswer(self._row.state.word, self._held(), is_done())

    def _pause(self) -> None:
        """The master may have resumed the process meanwhile."""
        if self._row.paused:
            self._orders.pause()

    def _continue(self) -> None:
        if not self._row.paused:
            self._orders.resume()

    def _takes_no_jobs(self) -> bool:
        return not self._row.state.takes_jobs
