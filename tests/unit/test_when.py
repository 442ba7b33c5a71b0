"""Times as a program gives them."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from gresque.client.when import When, at, delay, offsets, one_of, utc
from gresque.errors import EnqueueError

BERLIN = ZoneInfo("Europe/Berlin")


def test_delays() -> None:
    assert delay(300) == delay(timedelta(minutes=5)) == When(True, 300.0)
    assert delay(0).milliseconds() == 0
    assert delay(0.0015).milliseconds() == 2, "never early"
    assert delay(0.1 + 0.2).milliseconds() == 300, "but not late by a rounding error"
    assert abs(delay(60).run_at() - time.time() - 60) < 30
    assert delay(60).milliseconds(after=1.5) == 61_500


def test_points_in_time() -> None:
    assert at(5.5) == When(False, 5.5)
    assert at(datetime(2026, 12, 1, 9, tzinfo=UTC)).seconds == 1796115600
    assert at(datetime(2026, 12, 1, 10, tzinfo=BERLIN)).seconds == 1796115600
    assert at(1796115600).run_at(after=2) == 1796115602
    assert at(datetime(9999, 12, 31, 23, 59, tzinfo=UTC)).milliseconds() == 253402300740000


def test_what_is_asked_for() -> None:
    assert one_of() is None
    assert one_of(in_=5) == When(True, 5.0)
    assert one_of(at_=5) == When(False, 5.0)
    with pytest.raises(EnqueueError, match="not both"):
        one_of(5, 5)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (-5, "-5 is a negative delay; give 0"),
        (timedelta(seconds=-1), "is a negative delay"),
        (float("nan"), "nan is no delay; give a finite"),
        (float("inf"), "inf is no delay"),
        (10**400, "… is no delay; give a finite number"),
        ("5", "'5' is no delay; give seconds"),
        (True, "True is no delay"),
        (None, "None is no delay"),
        (Decimal(5), "no delay"),
        (datetime(2026, 12, 1, tzinfo=UTC), "is a point in time; give it as at=, or to enqueue_at"),
        (1e12, "beyond the year 9999; times are in seconds, not in milliseconds"),
    ],
    ids=str,
)
def test_no_delay(value: object, error: str) -> None:
    with pytest.raises(EnqueueError, match=error):
        delay(value)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (float("nan"), "nan is no point in time"),
        (float("-inf"), "-inf is no point in time"),
        (10**400, "… is no point in time; give finite seconds"),
        ("2026-12-01", "is no point in time; give a datetime with a time zone, such as"),
        (date(2026, 12, 1), "is no point in time; give a datetime"),
        (None, "None is no point in time"),
        (timedelta(5), "is a delay; give it as in_=, or to enqueue_in"),
        (1796115600000, "beyond the year 9999; times are in seconds, not in milliseconds"),
    ],
    ids=str,
)
def test_no_point_in_time(value: object, error: str) -> None:
    with pytest.raises(EnqueueError, match=error):
        at(value)


def test_a_naive_datetime_is_shown_as_it_should_be() -> None:
    with pytest.raises(EnqueueError) as raised:
        at(datetime(2026, 12, 1, 9, 30))
    line = str(raised.value)
    assert line == (
        "datetime(2026, 12, 1, 9, 30) has no time zone; write datetime(2026, 12, 1, 9, 30, "
        'tzinfo=ZoneInfo("Europe/Berlin")), or tzinfo=UTC'
    )
    fixed = line.partition("write ")[2].partition("), or")[0] + ")"
    found = eval(fixed, {"datetime": datetime, "ZoneInfo": ZoneInfo})
    assert found == datetime(2026, 12, 1, 9, 30, tzinfo=BERLIN)


def test_a_spread_of_a_list_keeps_its_order() -> None:
    assert list(islice(offsets(600, [0] * 4), 4)) == [0, 150, 300, 450]
    assert next(offsets(timedelta(minutes=1), [])) == 0


@pytest.mark.parametrize("count", [2, 10, 1000])
def test_a_spread_of_a_generator_is_even_at_any_end(count: int) -> None:
    found = sorted(islice(offsets(600, iter([])), count))
    gaps = [after - before for before, after in zip(found, [*found[1:], 600], strict=True)]
    assert found[0] >= 0 and found[-1] < 600
    assert max(gaps) < 3 * 600 / count


def test_a_time_that_no_datetime_has() -> None:
    assert utc(1e30).year == 9999
    assert utc(-5).year == 1970
