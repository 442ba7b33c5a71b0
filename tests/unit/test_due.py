"""When a turn is due, and what is waited for until then, as tables."""

from __future__ import annotations

import pytest

from gresque.worker.turns.due import (
    Pace,
    Situation,
    Wait,
    due,
    enough_ended,
    enough_while_lingering,
    linger_seconds,
    next_wait,
    worthwhile,
)

IDLE = Situation(
    held=0,
    ended=0,
    ready=0,
    worthwhile=2,  # of 16 threads
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
    (now(held=3, ready=1, is_dry=True), 0, Wait.THREADS, Wait.THREADS),  # it may be stuck
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


SLOW = Pace(jobs_per_second=100.0, trip_seconds=0.001, turn_cpu_seconds=0.0002, reserve=0)
FAST = SLOW._replace(jobs_per_second=20_000.0, reserve=100)
CHEAP = FAST._replace(turn_cpu_seconds=0.0)

# situation and pace just after a turn, ends that are worth the next one
ENOUGH = [
    (now(held=10, most=99), SLOW, 10),  # all that are held
    (now(), SLOW, 1),
    (now(held=1100, ready=100, most=999), CHEAP, 80),  # 20 start while a turn is on its way
    (now(held=1100, ready=80, ended=20, most=999), CHEAP, 80),
    (now(held=1100, ready=100, most=999), FAST, 120),  # sqrt(80² + 2 · 0.2 ms · 1,000 · 20,000)
    (now(held=1100, ready=100, most=50), FAST, 50),
    (now(held=356, ready=356, most=999), FAST, 336),  # none waits: the CPU must not run dry
    (now(held=1100, ready=100, most=999), CHEAP._replace(trip_seconds=1.0), 50),  # half of it
    (now(held=1, ready=1), FAST, 1),
]


@pytest.mark.parametrize(("situation", "pace", "enough"), ENOUGH)
def test_enough_ended(situation: Situation, pace: Pace, enough: int) -> None:
    assert enough_ended(situation, pace, heavy=False) == enough
    assert enough_ended(situation, pace, heavy=True) == 1


def test_an_eighth_of_the_threads_beyond_the_reserve() -> None:
    cases = [(1, 0), (8, 0), (9, 0), (1000, 0), (1000, 100)]
    assert [worthwhile(*case) for case in cases] == [1, 1, 2, 125, 225]
    lingering = now(held=100, enough=50, worthwhile=125)
    assert enough_while_lingering(lingering) == 50
    assert enough_while_lingering(lingering._replace(enough=300)) == 100
    assert enough_while_lingering(lingering._replace(enough=300, worthwhile=13)) == 13
    assert enough_while_lingering(lingering._replace(held=0)) == 1


LINGERS = [
    (now(held=16, enough=8), SLOW, 0.002),
    (now(held=1100, ended=50, enough=150), FAST, 0.005),
    (now(held=1100, ended=50, enough=150, is_dry=True), FAST, 0.002),
    (now(held=1100, ended=145, enough=150), FAST, 0.002),
    (now(held=1100, ended=50, enough=900), FAST, 0.010),
]


@pytest.mark.parametrize(("situation", "pace", "seconds"), LINGERS)
def test_how_long_more_ends_are_gathered(situation: Situation, pace: Pace, seconds: float) -> None:
    assert linger_seconds(situation, pace) == pytest.approx(seconds)


# jobs that run, jobs that end in a second, what a trip takes at least, seconds
BY_TRIP = [
    (1000, 500.0, 0.0, 0.002),
    (1000, 500.0, 0.001, 0.002),
    (1000, 500.0, 0.002, 0.005),
    (1000, 500.0, 0.005, 0.0125),
    (1000, 500.0, 0.020, 0.050),
    (1000, 500.0, 3.0, 0.050),
    (1000, 0.0, 0.020, 0.050),  # none has ended lately
    (100, 1000.0, 0.020, 0.005),  # a twentieth of jobs of 0.1 s
    (100, 20_000.0, 0.020, 0.002),  # of 5 ms
    (1, 2.0, 0.020, 0.025),
    (1, 1000.0, 0.020, 0.002),
]


@pytest.mark.parametrize("is_dry", [True, False])
@pytest.mark.parametrize(("running", "rate", "trip", "seconds"), BY_TRIP)
def test_a_slow_server_has_more_ends_gathered(
    running: int, rate: float, trip: float, seconds: float, is_dry: bool
) -> None:
    situation = now(held=running + 1, ended=1, is_dry=is_dry)
    pace = Pace(rate, 2 * trip, 0.0001, 0, trip)
    assert linger_seconds(situation, pace) == pytest.approx(seconds)


def test_a_reserve_that_lasts_longer_is_not_cut_short_by_a_quick_server() -> None:
    situation = now(held=1100, ended=50, enough=900)
    assert linger_seconds(situation, FAST) == pytest.approx(0.010)
    slow = FAST._replace(quickest_trip_seconds=0.02, jobs_per_second=1000.0)
    assert linger_seconds(situation, slow) == pytest.approx(0.050)
