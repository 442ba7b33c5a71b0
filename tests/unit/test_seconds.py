"""Numbers and times as programs give them."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest

from gresque.seconds import is_number, seconds_of


@pytest.mark.parametrize("value", [0, -1, 2.5, 10**300], ids=["0", "-1", "2.5", "large"])
def test_numbers_are_seconds(value: float) -> None:
    assert is_number(value)
    assert seconds_of(value) == value
    assert type(seconds_of(value)) is type(value)


def test_a_timedelta_is_seconds_and_no_number() -> None:
    assert seconds_of(timedelta(minutes=1, milliseconds=500)) == 60.5
    assert not is_number(timedelta(1))


@pytest.mark.parametrize(
    "value",
    [True, None, "5", math.nan, math.inf, -math.inf, 10**400, 1j],
    ids=["bool", "none", "text", "nan", "inf", "-inf", "over a float", "complex"],
)
def test_nothing_else_is(value: object) -> None:
    assert not is_number(value)
    assert seconds_of(value) is None
