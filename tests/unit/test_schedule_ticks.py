from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gresque.schedule.every import Every
from gresque.schedule.line import CronLine
from gresque.schedule.ticks import Policy, due_ticks, jitter

NOON = 1_795_694_400_000
MINUTE = 60_000
FIVE = CronLine("*/5 * * * *")


def ticks(policy: Policy, first: int, now: int, schedule=FIVE):  # type: ignore[no-untyped-def]
    return due_ticks("entry", schedule, policy, first, now)


@pytest.mark.parametrize("catch_up", ["one", "all", "skip"])
def test_one_tick_that_is_due(catch_up: str) -> None:
    found = ticks(Policy(catch_up), NOON, NOON + 20)
    assert found == ((NOON,), NOON + 5 * MINUTE, False)


RUNS = {"one": [10], "all": [5, 10], "skip": []}


@pytest.mark.parametrize("catch_up", RUNS)
def test_redis_away_for_ten_minutes(catch_up: str) -> None:
    found = ticks(Policy(catch_up), NOON + 5 * MINUTE, NOON + 11 * MINUTE)
    assert found.runs == tuple(NOON + minutes * MINUTE for minutes in RUNS[catch_up])
    assert found.next == NOON + 15 * MINUTE
    assert found.is_late is (catch_up != "all")


def test_skip_runs_what_a_takeover_delays() -> None:
    assert ticks(Policy("skip"), NOON, NOON + 9000).runs == (NOON,)
    assert ticks(Policy("skip"), NOON, NOON + 16_000).runs == ()


def test_max_late_seconds() -> None:
    hours = CronLine("0 * * * *")
    late = NOON + 50 * MINUTE
    assert ticks(Policy("one", 3600), NOON, late, hours).runs == (NOON,)
    assert ticks(Policy("one", 600), NOON, late, hours) == ((), NOON + 60 * MINUTE, True)
    assert ticks(Policy("one", None), NOON - 90 * 24 * 60 * MINUTE, late, hours).runs == (NOON,)
    assert ticks(Policy("all", 7200), NOON - 300 * MINUTE, late, hours).runs == (
        NOON - 60 * MINUTE, NOON,
    )  # fmt: skip


def test_all_makes_up_the_last_hundred() -> None:
    found = ticks(Policy("all", None), NOON, NOON + 86_400_000, Every(1))
    assert found.runs == tuple(range(NOON + 86_400_000 - 99_000, NOON + 86_400_001, 1000))
    assert found.next == NOON + 86_401_000
    assert found.is_late


def test_jitter_delays_by_the_same_time_everywhere() -> None:
    late = [jitter("entry", NOON + minute * MINUTE, 60) for minute in range(200)]
    assert late == [jitter("entry", NOON + minute * MINUTE, 60) for minute in range(200)]
    assert 0 <= min(late) < 3000 and 57_000 < max(late) < 60_000
    assert late != [jitter("other", NOON + minute * MINUTE, 60) for minute in range(200)]
    policy, due = Policy(jitter_seconds=60), NOON + jitter("entry", NOON, 60)
    assert ticks(policy, NOON, due - 1) == ((), NOON + 5 * MINUTE, False)
    assert ticks(policy, NOON, due).runs == (NOON,)


@given(
    st.sampled_from([Every(7), Every(60), FIVE, CronLine("20 17 * * * *")]),
    st.integers(0, 2000),
    st.integers(0, 2_000_000),
)
@pytest.mark.hypothesis
def test_all_runs_each_tick_once(schedule, start: int, late: int) -> None:  # type: ignore[no-untyped-def]
    first = schedule.next_after(NOON + start * 1000)
    now = first + late
    expected = []
    for tick in schedule.after(first - 1):
        if tick > now:
            break
        expected.append(tick)
    found = ticks(Policy("all", None), first, now, schedule)
    assert found == (tuple(expected[-100:]), tick, len(expected) > 100)
    assert ticks(Policy("one", None), first, now, schedule).runs == (expected[-1],)
