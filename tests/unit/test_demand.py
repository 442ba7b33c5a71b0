"""How many jobs a process wants, and when it leaves, on a book and a row of the scoreboard."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from gresque.processes.scoreboard import Ending, Scoreboard
from gresque.processes.state import ProcessState
from gresque.store.keys import Keys
from gresque.store.ledger import Totals
from gresque.worker.turns.batch_size import BatchSize
from gresque.worker.turns.demand import Demand
from gresque.worker.turns.in_flight import InFlight
from tests.support.states import bring_to

QUOTA, ROOM = 20, 8


class Process:
    def __init__(self, state: ProcessState = ProcessState.READY) -> None:
        (self.row,) = Scoreboard(1, 1).rows
        bring_to(self.row, state)
        self.in_flight = InFlight(Totals(), Keys("resque"))
        self.policy: Any = SimpleNamespace(room=lambda *parts: ROOM, leaves_when_dry=True)
        self.refused: Any = Refusals()
        self.weight: Any = SimpleNamespace(heavy=False, most=lambda: 1)
        pool: Any = None
        self.demand = Demand(
            self.row,
            self.policy,
            self.in_flight,
            pool,
            BatchSize(),
            self.weight,
            self.refused,
            QUOTA,
        )


class Refusals:
    def __init__(self) -> None:
        self.jobs: list[bytes] = []
        self.full = False

    def __len__(self) -> int:
        return len(self.jobs)


def test_it_wants_what_there_is_room_for() -> None:
    assert Process().demand.jobs() == ROOM


@pytest.mark.parametrize(
    ("state", "wants"),
    [(state, ROOM if state is ProcessState.READY else 0) for state in ProcessState],
    ids=lambda value: getattr(value, "name", value),
)
def test_only_one_that_is_ready_takes_jobs(state: ProcessState, wants: int) -> None:
    assert Process(state).demand.jobs() == wants


def test_it_wants_none_where_something_forbids_it() -> None:
    for forbid in (
        lambda p: p.row.end(Ending.QUIT),
        lambda p: p.demand.note_dry(),
        lambda p: setattr(p.refused, "full", True),
        lambda p: setattr(p.in_flight, "returning", 1),
        lambda p: setattr(p.policy, "room", lambda *parts: -3),
        lambda p: p.demand.end(for_good=False),
    ):
        process = Process()
        forbid(process)
        assert process.demand.jobs() == 0


def test_large_jobs_are_wanted_one_by_one() -> None:
    process = Process()
    process.weight.heavy = True
    assert process.demand.jobs() == 1


def test_the_quota_runs_out() -> None:
    process = Process()
    process.demand.note_reserved(15)
    assert (process.demand.jobs(), process.demand.is_finished()) == (5, False)
    process.demand.note_reserved(5)
    process.in_flight.held = 1
    assert (process.demand.jobs(), process.demand.is_over) == (0, True)
    assert not process.demand.is_finished()
    process.in_flight.held = 0
    assert process.demand.is_finished()


def test_in_a_burst_it_looks_once_more_when_it_held_jobs_as_it_found_none() -> None:
    process = Process()
    process.in_flight.held = 3
    process.demand.note_dry()
    assert not process.demand.is_finished()
    process.in_flight.held = 0
    assert not process.demand.is_finished()
    assert process.demand.jobs() == ROOM, "a job that ended since may have enqueued another"
    process.demand.note_dry()
    assert process.demand.is_finished()


def test_without_a_burst_empty_queues_are_no_reason_to_leave() -> None:
    process = Process()
    process.policy.leaves_when_dry = False
    process.demand.note_dry()
    assert not process.demand.is_finished()


def test_refused_jobs_keep_a_process() -> None:
    process = Process()
    process.refused.jobs = [b"1"]
    process.demand.note_reserved(QUOTA)
    assert not process.demand.is_finished()
    assert process.demand.go_on_with_refused()
    assert process.demand.jobs() == ROOM
    assert not process.demand.go_on_with_refused(), "it has a quota"
    process.demand.end(for_good=True)
    assert not process.demand.go_on_with_refused()


def test_one_that_is_to_leave_does_not_wait_for_refused_jobs() -> None:
    process = Process(ProcessState.DRAINING)
    process.refused.jobs = [b"1"]
    assert process.demand.is_finished()
    process.in_flight.held = 1
    assert not process.demand.is_finished()
