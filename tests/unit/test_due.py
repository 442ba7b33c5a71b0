"""When a turn is due, and what is waited for until then, as tables."""

from __future__ import annotations

import pytest

from gresque.worker.turns.due import (
    Situation,
    Wait,
    due,
    enough_ended,
    enough_while_lingering,
    next_wait,
    worthwhile,
)

IDLE = Situation(
    held=0,
    ended=0,
    ready=0,
    threads=16,
    enough=8,
    most=100,
    gives_back=False,
    is_over=False,
    is_urgent=False,
    is_dry=False,
)


def now(**differs: int | bool) -> Situation:
    return IDLE._replace(**differs)


# situation, jobs wanted, due at once, due after 2 ms of lingering
DUE = [
    (now(), 16, True, True),  # every thread lacks work
    (now(held=15), 1, False, True),  # one of 16 does
    (now(held=14), 2, True, True),  # an eighth
    (now(held=16), 0, False, False),
    (now(held=15, most=1), 1, True, True),  # no more may be reserved at once
    (now(held=16, ended=8), 8, True, True),
    (now(held=16, ended=1), 0, False, True),
    (now(held=3, ended=3), 0, True, True),  # all have ended
    (now(held=16, ready=4), 3, False, False),  # threads have work
    (now(held=16, ready=4, ended=1), 3, False, False),
    (now(held=16, ready=4, ended=8), 3, True, True),
    (now(held=16, ready=4, gives_back=True), 0, True, True),
    (now(held=16, gives_back=True), 0, False, False),
    (now(is_over=True), 0, True, True),
    (now(held=1, is_over=True), 0, False, False),
    (now(held=16, is_urgent=True), 0, True, True),
    (now(is_dry=True), 0, False, False),
    (now(held=16, ended=1, is_dry=True), 0, False, True),
]


@pytest.mark.parametrize(("situation", "want", "at_once", "later"), DUE)
def test_due(situation: Situation, want: int, at_once: bool, later: bool) -> None:
    assert due(situation, lambda: want, lingered=False) is at_once
    assert due(situation, lambda: want, lingered=True) is later


# situation, jobs wanted, what is waited for, and after lingering
WAITS = [
    (now(held=16), 0, Wait.ANYTHING, Wait.ANYTHING),
    (now(held=15), 1, Wait.MORE_ENDS, Wait.ANYTHING),
    (now(held=16, ended=1), 0, Wait.MORE_ENDS, Wait.ANYTHING),
    (now(held=16, ready=1), 0, Wait.THREADS, Wait.THREADS),
    (now(is_dry=True), 0, Wait.PUSH, Wait.PUSH),
    (now(held=3, is_dry=True), 0, Wait.PUSH, Wait.PUSH),
    (now(held=3, ended=1, is_dry=True), 0, Wait.MORE_ENDS, Wait.ANYTHING),
]


@pytest.mark.parametrize(("situation", "want", "first", "after"), WAITS)
def test_what_is_waited_for(situation: Situation, want: int, first: Wait, after: Wait) -> None:
    assert next_wait(situation, lambda: want, lingered=False) is first
    assert next_wait(situation, lambda: want, lingered=True) is after


def test_how_many_jobs_are_wanted_is_asked_only_where_it_decides() -> None:
    def unasked() -> int:
        raise AssertionError

    for situation in (now(is_urgent=True), now(held=5, ready=2), now(held=8, ended=8)):
        due(situation, unasked, lingered=False)
    next_wait(now(is_dry=True), unasked, lingered=False)


@pytest.mark.parametrize(
    ("held", "threads", "capacity", "heavy", "enough"),
    [
        (10, 16, 16, False, 10),  # all that are held
        (0, 16, 16, False, 1),
        (60, 10, 74, False, 37),  # some are held in reserve
        (60, 10, 74, True, 1),
    ],
)
def test_enough_ended(held: int, threads: int, capacity: int, heavy: bool, enough: int) -> None:
    assert enough_ended(held, threads, capacity, heavy=heavy) == enough


def test_an_eighth_of_the_threads() -> None:
    assert [worthwhile(threads) for threads in (1, 8, 9, 1000)] == [1, 1, 2, 125]
    cases = [(1, 1), (100, 8), (100, 1000), (1000, 1000)]
    assert [enough_while_lingering(*case) for case in cases] == [1, 1, 100, 125]
