"""When a process may be forked after others have failed."""

from __future__ import annotations

import time

import pytest

from gresque.master.child import Child
from gresque.master.exits import Exit
from gresque.master.restart_backoff import (
    QUICK_DEATH_SECONDS,
    QUICK_DEATHS_ALLOWED,
    RestartBackoffs,
)
from gresque.processes.kind import Kind
from gresque.processes.scoreboard import Scoreboard
from gresque.store.ledger import Totals


def child(kind: Kind, *, age: float = 0.0, held: int = 0) -> Child:
    (row,) = Scoreboard(1, 5).rows
    row.kind, row.totals = kind, Totals(reserved=held)
    return Child(11, "host:1:q", 1, row, forked_at=time.monotonic() - age)


def held_back_by(backoffs: RestartBackoffs) -> set[Kind]:
    return set(backoffs.held_back(time.monotonic()))


WORKERS = {Kind.WORKER, Kind.QUARANTINE}


@pytest.mark.parametrize(
    ("kind", "held_back"),
    [
        (Kind.WORKER, WORKERS),
        (Kind.QUARANTINE, WORKERS),
        (Kind.STANDBY, {Kind.STANDBY}),  # those at work can do without
        (Kind.MAINTENANCE, {Kind.MAINTENANCE}),
    ],
)
def test_a_failed_boot_holds_back_its_kind(kind: Kind, held_back: set[Kind]) -> None:
    backoffs = RestartBackoffs(deaths_are_counted=True)
    assert held_back_by(backoffs) == set()
    backoffs.note_end(child(kind), Exit.FAILED_BOOT)
    assert held_back_by(backoffs) == held_back


@pytest.mark.parametrize(
    ("end", "age", "held_back"),
    [
        (Exit.CRASHED, 0.0, WORKERS),
        (Exit.CRASHED, QUICK_DEATH_SECONDS, set()),
        (Exit.LEFT, 0.0, set()),
        (Exit.STARTS_AFRESH, 0.0, set()),
        (Exit.ENDED_AT_START, 0.0, set()),
    ],
)
def test_only_quick_deaths_in_a_row_hold_back(end: Exit, age: float, held_back: set[Kind]) -> None:
    backoffs = RestartBackoffs(deaths_are_counted=True)
    for _ in range(QUICK_DEATHS_ALLOWED):
        backoffs.note_end(child(Kind.WORKER), Exit.CRASHED)
    assert held_back_by(backoffs) == set()
    backoffs.note_end(child(Kind.WORKER, age=age), end)
    assert held_back_by(backoffs) == held_back


@pytest.mark.parametrize(("counted", "held"), [(True, 1), (True, 0), (False, 1)])
def test_a_quarantine_whose_jobs_are_given_up_in_the_end_is_not_held_back(
    counted: bool, held: int
) -> None:
    backoffs = RestartBackoffs(deaths_are_counted=counted)
    for _ in range(QUICK_DEATHS_ALLOWED + 1):
        backoffs.note_end(child(Kind.QUARANTINE, held=held), Exit.CRASHED)
    assert held_back_by(backoffs) == (set() if counted and held else WORKERS)
