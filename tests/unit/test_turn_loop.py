from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from gresque.processes.scoreboard import Row, Scoreboard
from gresque.processes.state import ProcessState
from gresque.store.keys import Keys
from gresque.store.ledger import Totals
from gresque.worker.turns.in_flight import InFlight
from gresque.worker.turns.turn_loop import TurnLoop


class Cycle:
    """Its turn brings one job, and a signal comes before the reply does."""

    refused: tuple[Any, ...] = ()
    connection = SimpleNamespace(reply_bytes=0)

    def __init__(self, row: Row, in_flight: InFlight) -> None:
        self.row, self.in_flight = row, in_flight
        self.startable: list[int] = []
        """How many jobs a thread could start at each round trip after the reply."""

    def turn(self, want: int, *, listen: bool, retry: bool) -> int:
        self.row.enter(ProcessState.DRAINING)
        self.in_flight.ready.append((b"0", "q", b"{}"))
        self.in_flight.held += 1
        self.in_flight.reserved += 1
        return 1

    def forget_suspects(self) -> None:
        self.startable.append(len(self.in_flight.ready))


def test_what_comes_with_the_reply_after_a_signal_goes_back_before_another_round_trip() -> None:
    """A thread would start it meanwhile, after the kill of the shutdown."""
    row = Scoreboard(1, 1).rows[0]
    for state in (ProcessState.REGISTERING, ProcessState.REGISTERED, ProcessState.READY):
        row.enter(state)
    in_flight = InFlight(Totals(), Keys("resque"))
    cycle = Cycle(row, in_flight)
    anything: Any = SimpleNamespace(
        check_seconds=None,
        prepare=lambda cycle, in_flight, want: want,
        on_turn=lambda *_: None,
        note=lambda *_: None,
        note_trip=lambda *_: None,
        note_reserved=lambda *_: None,
        listening=False,
        quota=10,
    )
    settings = SimpleNamespace(thread_count=1, interval=0)
    spec: Any = SimpleNamespace(row=row, tell_master=lambda: None, settings=settings)
    kills: Any = ()
    turns = TurnLoop(
        spec,
        Keys("resque"),
        policy=anything,
        demand=anything,
        cycle=cycle,  # type: ignore[arg-type]
        notifier=anything,
        in_flight=in_flight,
        pool=anything,
        batch_size=anything,
        weight=anything,
        kills=kills,
        wakeup=anything,
    )
    assert turns.turn(1) == 1
    assert cycle.startable == [0]
    assert [each.job[0] for each in in_flight.settled] == [b"0"]
