"""The state machine of a worker process, as tables."""

from __future__ import annotations

import pytest

from gresque.processes.scoreboard import Scoreboard
from gresque.processes.state import TRANSITIONS, ProcessState
from tests.support.states import path_to

S = ProcessState

# may have registered, booted, takes jobs, at work, may be replaced, gives back, left, ended
DERIVED = [
    (S.BOOTING,      "-", "-", "-", "-", "-", "-", "-", "-", "booting"),
    (S.REGISTERING,  "x", "-", "-", "-", "-", "-", "-", "-", "booting"),
    (S.REGISTERED,   "x", "-", "-", "-", "-", "-", "-", "-", "booting"),
    (S.STANDING_BY,  "x", "x", "-", "-", "-", "-", "-", "-", "standing by"),
    (S.READY,        "x", "x", "x", "x", "-", "-", "-", "-", "working"),
    (S.PAUSED,       "x", "x", "-", "x", "-", "x", "-", "-", "paused"),
    (S.RETIRING,     "x", "x", "-", "-", "x", "-", "-", "-", "retiring"),
    (S.DRAINING,     "x", "x", "-", "-", "x", "x", "-", "-", "draining"),
    (S.DRY,          "x", "x", "-", "-", "x", "-", "-", "-", "draining"),
    (S.LEFT,         "x", "x", "-", "-", "x", "-", "x", "x", "draining"),
    (S.LEFT_DRY,     "x", "x", "-", "-", "x", "-", "x", "x", "draining"),
    (S.LEFT_HOLDING, "x", "x", "-", "-", "x", "-", "-", "x", "draining"),
    (S.STRANDED,     "x", "x", "-", "-", "x", "-", "-", "x", "draining"),
]  # fmt: skip


@pytest.mark.parametrize("row", DERIVED, ids=[row[0].name for row in DERIVED])
def test_what_a_state_means(row: tuple[ProcessState, *tuple[str, ...]]) -> None:
    state, *marks, word = row
    facts = [
        state.may_have_registered, state.has_booted, state.takes_jobs, state.is_at_work,
        state.may_be_replaced, state.gives_back, state.has_left, state.has_ended,
    ]  # fmt: skip
    assert ["x" if fact else "-" for fact in facts] == marks
    assert state.word == word


def test_every_state_has_its_rows() -> None:
    assert set(TRANSITIONS) == set(S) == {row[0] for row in DERIVED}


@pytest.mark.parametrize("state", S)
def test_every_state_is_reached_and_leads_to_an_end(state: ProcessState) -> None:
    path_to(state)
    assert any(
        end is state or path_to(end, state) for end in S if end.has_ended and leads(state, end)
    )


def leads(state: ProcessState, end: ProcessState) -> bool:
    try:
        path_to(end, state)
    except ValueError:
        return False
    return True


LIVES = [
    [S.REGISTERING, S.REGISTERED, S.READY, S.RETIRING, S.LEFT],
    [S.REGISTERING, S.REGISTERED, S.STANDING_BY, S.READY, S.RETIRING, S.LEFT],
    [S.REGISTERING, S.REGISTERED, S.READY, S.DRY, S.LEFT_DRY],
    [S.REGISTERING, S.REGISTERED, S.PAUSED, S.READY, S.PAUSED, S.DRAINING, S.LEFT],
    [S.REGISTERING, S.REGISTERED, S.DRAINING, S.LEFT],
    [S.REGISTERING, S.REGISTERED, S.READY, S.RETIRING, S.READY, S.DRAINING, S.LEFT_HOLDING],
    [S.REGISTERING, S.REGISTERED, S.READY, S.STRANDED],
    [S.REGISTERING, S.REGISTERED, S.STANDING_BY, S.PAUSED, S.READY],
]


@pytest.mark.parametrize("life", LIVES, ids=lambda life: "-".join(s.name for s in life))
def test_a_life_step_by_step(life: list[ProcessState]) -> None:
    (row,) = Scoreboard(1, 1).rows
    for state in life:
        assert row.enter(state), state.name
        assert row.state is state


REFUSED = [
    ([], S.READY),  # not before it has registered
    ([], S.DRAINING),
    ([S.REGISTERING, S.REGISTERED, S.READY], S.STANDING_BY),
    ([S.REGISTERING, S.REGISTERED, S.READY, S.DRAINING], S.READY),
    (
        [S.REGISTERING, S.REGISTERED, S.READY, S.DRAINING],
        S.RETIRING,
    ),  # by the heartbeat's thread, a little late
    ([S.REGISTERING, S.REGISTERED, S.STANDING_BY], S.DRY),  # it has not looked
    ([S.REGISTERING, S.REGISTERED, S.READY, S.RETIRING], S.LEFT_DRY),
    ([S.REGISTERING, S.REGISTERED, S.READY, S.DRY], S.READY),
    ([S.REGISTERING, S.REGISTERED, S.READY, S.DRAINING, S.LEFT], S.DRAINING),
    ([S.REGISTERING, S.REGISTERED, S.READY, S.STRANDED], S.LEFT),
]


@pytest.mark.parametrize(("life", "step"), REFUSED)
def test_a_step_that_is_not_in_the_table_is_not_taken(
    life: list[ProcessState], step: ProcessState
) -> None:
    (row,) = Scoreboard(1, 1).rows
    for state in life:
        row.enter(state)
    before = row.state
    assert not row.enter(step)
    assert row.state is before
