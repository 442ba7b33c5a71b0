from __future__ import annotations

import socket
import time
from types import SimpleNamespace
from typing import Any

import pytest
from gevent import get_hub
from gevent.monkey import get_original

from gresque.processes.scoreboard import Row, Scoreboard
from gresque.processes.state import ProcessState
from gresque.store.keys import Keys
from gresque.store.ledger import Totals
from gresque.worker.turns.in_flight import InFlight
from gresque.worker.turns.turn_loop import TurnLoop
from gresque.worker.turns.wakeup import Wakeup


class Cycle:
    """Its turn brings one job, and a signal comes before the reply does."""

    refused: tuple[Any, ...] = ()
    connection = SimpleNamespace(reply_bytes=0)
    blocked = None

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


def turn_loop(row: Row, in_flight: InFlight, cycle: Any) -> TurnLoop:
    anything: Any = SimpleNamespace(
        check_seconds=None,
        prepare=lambda cycle, in_flight, want: want,
        on_turn=lambda *_: None,
        note=lambda *_: None,
        note_turn=lambda *_: None,
        note_reserved=lambda *_: None,
        listening=False,
        quota=10,
    )
    settings = SimpleNamespace(thread_count=1, interval=0)
    spec: Any = SimpleNamespace(row=row, tell_master=lambda: None, settings=settings)
    kills: Any = ()
    return TurnLoop(
        spec,
        Keys("resque"),
        policy=anything,
        demand=anything,
        cycle=cycle,
        notifier=anything,
        in_flight=in_flight,
        pool=anything,
        batch_size=anything,
        weight=anything,
        kills=kills,
        wakeup=anything,
    )


def test_what_comes_with_the_reply_after_a_signal_goes_back_before_another_round_trip() -> None:
    """A thread would start it meanwhile, after the kill of the shutdown."""
    row = Scoreboard(1, 1).rows[0]
    for state in (ProcessState.REGISTERING, ProcessState.REGISTERED, ProcessState.READY):
        row.enter(state)
    in_flight = InFlight(Totals(), Keys("resque"))
    cycle = Cycle(row, in_flight)
    assert turn_loop(row, in_flight, cycle).turn(1) == 1
    assert cycle.startable == [0]
    assert [each.job[0] for each in in_flight.settled] == [b"0"]


def test_what_is_held_of_a_paused_queue_goes_back_at_once_and_is_looked_for_once() -> None:
    """The reserve may be of hundreds of jobs, and a pause may last."""
    in_flight = InFlight(Totals(), Keys("resque"))
    row = Scoreboard(1, 1).rows[0]
    looked: list[set[str]] = []
    give_back_of = in_flight.give_back_of
    in_flight.give_back_of = lambda queues: looked.append(queues) or give_back_of(queues)  # type: ignore

    def turn(want: int, *paused: str) -> None:
        cycle.blocked = SimpleNamespace(paused=set(paused)) if paused else None
        in_flight.ready.extend((b"0", queue, b"{}") for queue in ("a", "b") if queue not in paused)
        turns.turn(want)

    cycle: Any = SimpleNamespace(
        refused=(), connection=SimpleNamespace(reply_bytes=0), forget_suspects=lambda: None,
        turn=lambda *_, **__: 1,
    )  # fmt: skip
    turns = turn_loop(row, in_flight, cycle)
    turn(1)
    for _ in range(3):
        turn(1, "a")
        assert {queue for _, queue, _ in in_flight.ready} == {"b"}
    assert looked == [{"a"}]
    turn(1)
    turn(0)
    turn(1, "a", "b")
    assert not in_flight.ready
    assert looked == [{"a"}, {"a", "b"}]


# How many jobs run in a process with one thread, how many ended in 50 ms, and how many of ten in
# reserve it keeps
STUCK = [(1, 0, 0), (1, 9, 0), (1, 40, 4), (1, 500, 10), (0, 0, 10)]


@pytest.mark.parametrize(("running", "ended", "kept"), STUCK)
def test_of_a_reserve_it_keeps_what_starts_within_5_ms(running: int, ended: int, kept: int) -> None:
    in_flight = InFlight(Totals(), Keys("resque"))
    in_flight.ready.extend((b"%d" % slot, "q", b"{}") for slot in range(10))
    in_flight.ended = [b"x"] * ended
    in_flight.held = 10 + ended + running
    turns = turn_loop(Scoreboard(1, 1).rows[0], in_flight, SimpleNamespace(refused=()))
    turns._give_back_what_is_stuck(ended)
    assert [job[0] for job in in_flight.ready] == [b"%d" % slot for slot in range(kept)]
    assert in_flight.returning == 10 - kept


@pytest.mark.parametrize("is_dry", [True, False])
def test_a_push_does_not_wait_while_ends_are_gathered(is_dry: bool) -> None:
    """Where the queues were empty. Else others listen for it, and a turn is due before long."""
    own, server = socket.socketpair()
    cycle: Any = SimpleNamespace(
        refused=(), connection=own, heard=lambda: bool(own.recv(9, socket.MSG_DONTWAIT))
    )
    turns = turn_loop(Scoreboard(1, 1).rows[0], InFlight(Totals(), Keys("resque")), cycle)
    turns._wakeup = Wakeup()
    turns._demand = demand = SimpleNamespace(is_dry=is_dry)  # type: ignore[assignment]
    turns._policy = SimpleNamespace(listens=True)  # type: ignore[assignment]
    turns._notifier = SimpleNamespace(on_announcement=lambda: True)  # type: ignore[assignment]
    server.send(b"a push")
    began = time.monotonic()
    turns._linger(20.0 if is_dry else 0.2)
    assert (time.monotonic() - began < 10) if is_dry else (time.monotonic() - began >= 0.2)
    assert not demand.is_dry
    own.close()
    server.close()


def test_an_idle_process_looks_when_its_heartbeat_had_to_connect_again() -> None:
    own, server = socket.socketpair()
    cycle: Any = SimpleNamespace(refused=(), connection=own, heard=lambda: False)
    turns = turn_loop(Scoreboard(1, 1).rows[0], InFlight(Totals(), Keys("resque")), cycle)
    turns._wakeup = Wakeup()
    turns._thread_pool = SimpleNamespace(loop=get_hub().loop)  # type: ignore[assignment]
    turns._policy = SimpleNamespace(listens=True)  # type: ignore[assignment]
    turns._notifier = SimpleNamespace(  # type: ignore[assignment]
        is_to_listen=False, look_at=None, poll_seconds=0.05
    )
    polls: list[int] = []
    turns._on_poll = lambda: polls.append(1)  # type: ignore[method-assign]
    assert turns._wait_for_push()
    assert polls == [1]
    turns._notifier.poll_seconds = 20.0
    turns._wakeup.set()
    assert not turns._wait_for_push(), "woken for something else"
    get_original("_thread", "start_new_thread")(turns.on_doubt, ())
    began = time.monotonic()
    assert turns._wait_for_push()
    assert time.monotonic() - began < 10
    assert polls == [1]
    own.close()
    server.close()
