"""Waits between tries."""

from __future__ import annotations

from gresque.backoff import Backoff


def longest(low: float, high: float) -> float:
    return high


def shortest(low: float, high: float) -> float:
    return low


def test_it_doubles_up_to_the_limit() -> None:
    backoff = Backoff(0.05, 0.5, longest)
    assert [backoff.next_seconds() for _ in range(6)] == [0.05, 0.1, 0.2, 0.4, 0.5, 0.5]


def test_a_wait_is_at_least_half_of_that() -> None:
    backoff = Backoff(1.0, 3.0, shortest)
    assert [backoff.next_seconds() for _ in range(4)] == [0.5, 1.0, 1.5, 1.5]


def test_a_reset_begins_again() -> None:
    backoff = Backoff(1.0, 8.0, longest)
    backoff.next_seconds()
    backoff.next_seconds()
    backoff.reset()
    assert backoff.next_seconds() == 1.0


def test_the_first_wait_is_never_above_the_longest() -> None:
    assert Backoff(9.0, 2.0, longest).next_seconds() == 2.0


def test_it_never_overflows() -> None:
    backoff = Backoff(1.0, 5.0)
    waits = [backoff.next_seconds() for _ in range(3000)]
    assert all(2.5 <= wait <= 5.0 for wait in waits[3:])


def test_waits_differ() -> None:
    waits = {Backoff(1.0, 1.0).next_seconds() for _ in range(10)}
    assert len(waits) > 1
