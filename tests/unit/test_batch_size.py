"""How many jobs one turn may reserve."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gresque.worker.turns.batch_size import FIRST_BATCH, MOST_IN_RESERVE, BatchSize, most_held

seconds = st.floats(0, 100, allow_nan=False)


jobs = st.integers(0, 100_000)


@given(st.lists(st.tuples(seconds, seconds, jobs, jobs, seconds), max_size=30))
def test_it_stays_in_its_bounds(
    notes: list[tuple[float, float, int, int, float]],
) -> None:
    batch_size = BatchSize()
    for cpu, wall, started, ended, trip in notes:
        before = batch_size.limit
        batch_size.note_turn(0.0, trip)
        batch_size.note(cpu, wall, started, ended)
        assert 1 <= batch_size.limit <= 2 * before
        assert type(batch_size.limit) is int
        assert 0 <= batch_size.reserve <= MOST_IN_RESERVE


def test_it_starts_at_8_and_doubles_while_jobs_are_cheap() -> None:
    batch_size, limits = BatchSize(), []
    for _ in range(5):
        limits.append(batch_size.limit)
        batch_size.note(1e-6 * batch_size.limit, 0.001, batch_size.limit, batch_size.limit)
    assert limits == [FIRST_BATCH * 2**n for n in range(5)]


# CPU seconds of a job, the batch after many turns
COSTS = [(1.0, 1), (0.011, 1), (0.010, 1), (0.005, 2), (0.001, 10), (0.0001, 100), (1e-5, 1000)]


@pytest.mark.parametrize(("cost", "limit"), COSTS)
def test_a_batch_holds_10_ms_of_work(cost: float, limit: int) -> None:
    batch_size = BatchSize()
    for _ in range(100):
        batch_size.note(cost * batch_size.limit, 1.0, batch_size.limit, batch_size.limit)
    assert abs(batch_size.limit - limit) <= 1


# Seconds of the quickest trip, the batch of jobs of 1 ms
TRIPS = [(0.0, 10), (0.009, 10), (0.050, 50), (0.3, 300), (1.0, 1000), (30.0, 1000)]


@pytest.mark.parametrize(("trip", "limit"), TRIPS)
def test_far_from_redis_a_batch_holds_as_much_work_as_a_trip_takes(trip: float, limit: int) -> None:
    batch_size = BatchSize()
    for number in range(100):
        # Others were held up. What the process computes meanwhile is none of the trip.
        batch_size.note_turn(0.5, 0.5 + (trip if number % 4 == 0 else trip + 60.0))
        batch_size.note(0.001 * batch_size.limit, 1.0, batch_size.limit, batch_size.limit)
    assert abs(batch_size.limit - limit) <= 1


def test_a_trip_of_long_ago_does_not_count() -> None:
    batch_size = BatchSize()
    for trip in [60.0] * 20 + [0.001]:
        batch_size.note_turn(0.0, trip)
        batch_size.note(0.001 * batch_size.limit, 1.0, batch_size.limit, batch_size.limit)
    assert abs(batch_size.limit - 10) <= 1


def test_a_job_that_costs_nothing_has_a_limit_too() -> None:
    batch_size = BatchSize()
    for _ in range(100):
        batch_size.note(0.0, 0.0, batch_size.limit, batch_size.limit)
    assert batch_size.limit <= 100_000


def test_work_of_turns_without_an_end_is_counted_when_the_job_ends() -> None:
    batch_size = BatchSize()
    for _ in range(10):
        batch_size.note(0.1, 0.1, 0, 0)
        assert batch_size.limit == FIRST_BATCH
    batch_size.note(0.0, 0.1, 0, 1)
    assert batch_size.limit == 1


# Jobs that end in a second, how many are held in reserve
RESERVES = [(100, 0), (199, 0), (200, 1), (4000, 20), (51_200, 256), (1_000_000, 256)]


@pytest.mark.parametrize(("rate", "reserve"), RESERVES)
def test_in_reserve_are_as_many_as_start_within_5_ms(rate: int, reserve: int) -> None:
    batch_size = BatchSize()
    assert batch_size.reserve == 0
    batch_size.note(0.0, 1.0, rate, rate)
    assert batch_size.reserve == reserve
    batch_size.note(0.0, 0.04, 0, 0)
    assert batch_size.reserve == reserve, "jobs may happen to end together"
    batch_size.note(0.0, 1.0, 1, 1)
    assert batch_size.reserve == 0


def test_a_process_for_few_jobs_needs_few_slots() -> None:
    assert [most_held(*case) for case in ((1, 1), (100, 10), (100, 10**9))] == [2, 110, 356]


def test_what_a_turn_costs_is_what_the_cheapest_of_the_last_cost() -> None:
    batch_size = BatchSize()
    assert batch_size.pace().turn_cpu_seconds == 0.0
    for cpu in [0.001, *[0.004] * 10]:
        batch_size.note_turn(cpu, 0.005)
    assert batch_size.pace().turn_cpu_seconds == 0.001
    for _ in range(16):
        batch_size.note_turn(0.004, 0.005)
    pace = batch_size.pace()
    assert pace.turn_cpu_seconds == 0.004
    assert pace.trip_seconds == pytest.approx(0.005, rel=0.01)
