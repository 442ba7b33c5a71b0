"""Orders that reach a worker process at its start, in any order, and at its end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from gresque.processes.kind import Kind
from gresque.processes.scoreboard import Row, Scoreboard
from gresque.processes.state import ProcessState
from gresque.worker.departure import note_end
from gresque.worker.orders import Orders
from tests.support.states import bring_to


class Process:
    def __init__(self, kind: Kind) -> None:
        (self.row,) = Scoreboard(1, 1).rows
        self.row.kind = kind
        bring_to(self.row, ProcessState.REGISTERED)
        spec: Any = SimpleNamespace(
            kind=kind,
            row=self.row,
            tell_master=lambda: None,
            settings=SimpleNamespace(term_timeout=8),
        )
        stub: Any = SimpleNamespace(set=lambda: None, give_back_ready=lambda: None, is_dry=False)
        self.orders = Orders(spec, stub, stub, stub, stub, stub)


def call(row: Row) -> None:
    row.kind = Kind.WORKER


def pause(row: Row) -> None:
    row.paused = True


def end_pause(row: Row) -> None:
    row.paused = False


@pytest.mark.parametrize(
    ("kind", "by_master", "signals", "state"),
    [
        (Kind.WORKER, [], [], ProcessState.READY),
        (Kind.WORKER, [pause], ["pause"], ProcessState.PAUSED),
        (Kind.WORKER, [pause, end_pause], ["pause", "resume"], ProcessState.READY),
        (Kind.WORKER, [pause], ["pause", "resume"], ProcessState.READY),  # a CONT to it alone
        (Kind.STANDBY, [], ["resume"], ProcessState.STANDING_BY),
        (Kind.STANDBY, [call], ["resume"], ProcessState.READY),
        # The kernel keeps no order among signals that wait.
        (Kind.STANDBY, [call, pause], ["resume", "pause"], ProcessState.PAUSED),
        (Kind.STANDBY, [call, pause], ["pause", "resume"], ProcessState.PAUSED),
        (Kind.STANDBY, [call, pause], ["pause", "resume", "resume"], ProcessState.READY),
        (Kind.STANDBY, [pause, call], ["pause", "resume"], ProcessState.PAUSED),
    ],
)
def test_signals_that_waited_during_the_boot(
    kind: Kind, by_master: list[Any], signals: list[str], state: ProcessState
) -> None:
    process = Process(kind)
    for order in by_master:
        order(process.row)
    for name in signals:
        getattr(process.orders, name)()
    process.orders.come_to_work()
    assert process.row.state is state


@pytest.mark.parametrize("names", [["pause"], ["pause", "resume"], ["resume"]])
@pytest.mark.parametrize("state", [ProcessState.RETIRING, ProcessState.DRY, ProcessState.DRAINING])
def test_a_pause_at_the_end_does_not_keep_a_process_from_saying_that_it_left(
    state: ProcessState, names: list[str]
) -> None:
    """Else its master would take that for a death, and lose what it has counted."""
    process = Process(Kind.WORKER)
    bring_to(process.row, state)
    for name in names:
        process.row.paused = name == "pause"
        getattr(process.orders, name)()
    note_end(process.row, 0)
    assert process.row.state.has_left
