"""Cron lines: what they take, and when they are due in both nights of the clocks."""

from __future__ import annotations

import sys
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest

from gresque.errors import ScheduleError
from gresque.schedule.line import CronLine

MINUTE = timedelta(minutes=1)

NIGHTS = {
    "Berlin, spring": ("Europe/Berlin", datetime(2026, 3, 28, 12)),
    "Berlin, autumn": ("Europe/Berlin", datetime(2026, 10, 24, 12)),
    "New York, spring": ("America/New_York", datetime(2026, 3, 7, 17)),
    "New York, autumn": ("America/New_York", datetime(2026, 10, 31, 17)),
    "Lord Howe, spring": ("Australia/Lord_Howe", datetime(2026, 10, 3, 6)),
    "Lord Howe, autumn": ("Australia/Lord_Howe", datetime(2026, 4, 4, 6)),
}
"""Zone, and noon or so before the night, in UTC."""
LINES = {
    # line: its minutes, its hours, and whether they are fixed
    "30 2 * * *": ({30}, {2}, True),
    "0 2 * * *": ({0}, {2}, True),
    "15 1,2 * * *": ({15}, {1, 2}, True),
    "0,30 2 * * *": ({0, 30}, {2}, True),
    "45 1-3 * * *": ({45}, {1, 2, 3}, True),
    "0 3 * * *": ({0}, {3}, True),
    "59 23 * * *": ({59}, {23}, True),
    "* * * * *": (set(range(60)), set(range(24)), False),
    "*/30 * * * *": ({0, 30}, set(range(24)), False),
    "0 * * * *": ({0}, set(range(24)), False),
    "10 */2 * * *": ({10}, set(range(0, 24, 2)), False),
    "*/20 2 * * *": ({0, 20, 40}, {2}, False),
}
HOURS = 30


@cache
def by_brute_force(line: str, zone: str, start: datetime) -> list[int]:
    """Every minute, in epoch milliseconds, at which the line is due."""
    minutes, hours, fixed = LINES[line]
    place, found = ZoneInfo(zone), set[int]()
    first = start.replace(tzinfo=UTC)
    if not fixed:  # whenever the clocks show it
        for number in range(HOURS * 60):
            moment = first + number * MINUTE
            local = moment.astimezone(place)
            if local.minute in minutes and local.hour in hours:
                found.add(int(moment.timestamp()) * 1000)
        return sorted(found)
    local = first.astimezone(place).replace(tzinfo=None)
    for number in range(HOURS * 60):  # each time of the day once, even if the clocks do not show it
        named = local + number * MINUTE
        if named.minute in minutes and named.hour in hours:
            while named.replace(tzinfo=place).astimezone(UTC).astimezone(place) != named.replace(
                tzinfo=place
            ):
                named += MINUTE
            found.add(int(named.replace(tzinfo=place, fold=0).timestamp()) * 1000)
    return sorted(found)


@pytest.mark.parametrize("night", NIGHTS)
@pytest.mark.parametrize("line", LINES)
def test_the_nights_of_the_clocks(line: str, night: str) -> None:
    """From points all over these nights the next time is the one that brute force finds."""
    zone, start = NIGHTS[night]
    expected = by_brute_force(line, zone, start)
    cron, first = CronLine(line, zone), int(start.replace(tzinfo=UTC).timestamp()) * 1000
    for minutes in range(0, (HOURS - 6) * 60, 41):
        ms = first + minutes * 60_000 + 500
        after = expected[bisect_right(expected, ms) :]
        if after:
            assert cron.next_after(ms) == after[0], datetime.fromtimestamp(ms / 1000, UTC)
    following = expected[bisect_right(expected, first) :]
    assert list(islice(cron.after(first), len(following))) == following
    some = 1 + len(following) // 300  # all of them, but for a line of each minute
    for tick, after_it in list(pairwise(following))[::some]:
        assert cron.next_after(tick) == after_it


@pytest.mark.parametrize("night", NIGHTS)
def test_a_line_with_seconds_keeps_to_the_same_rules(night: str) -> None:
    zone, start = NIGHTS[night]
    first = int(start.replace(tzinfo=UTC).timestamp()) * 1000
    plain, exact = CronLine("30 2 * * *", zone), CronLine("20,40 30 2 * * *", zone)
    base = plain.next_after(first) or 0
    found = exact.after(first)
    assert [next(found), next(found)] == [base + 20_000, base + 40_000]
    assert exact.next_after(base + 40_000) == (plain.next_after(base) or 0) + 20_000


TABLE = {
    "fixed time, spring": ("30 2 * * *", "2026-03-29T00:00", ["2026-03-29T03:00:00+02:00"]),
    "fixed time, autumn": (
        "30 2 * * *", "2026-10-25T00:00",
        ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"],
    ),
    "half hours, autumn": (
        "*/30 * * * *", "2026-10-25T01:59",
        ["2026-10-25T02:00:00+02:00", "2026-10-25T02:30:00+02:00",
         "2026-10-25T02:00:00+01:00", "2026-10-25T02:30:00+01:00", "2026-10-25T03:00:00+01:00"],
    ),
    "hours, autumn": (
        "0 * * * *", "2026-10-25T01:30",
        ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", TABLE)
def test_the_table_of_the_docs(what: str) -> None:
    line, start, expected = TABLE[what]
    cron = CronLine(line, "Europe/Berlin")
    place = ZoneInfo("Europe/Berlin")
    times = cron.after(int(datetime.fromisoformat(start).replace(tzinfo=place).timestamp()) * 1000)
    found = [datetime.fromtimestamp(next(times) / 1000, place).isoformat() for _ in expected]
    assert found == expected


def first_time(line: str) -> str:
    """After 2026-11-26T12:00:00Z, a Thursday."""
    cron = CronLine(line)
    ms = cron.next_after(1_795_694_400_000) or 0
    return f"{datetime.fromtimestamp(ms / 1000, cron.zone):%a %Y-%m-%dT%H:%M:%S%z}"


FORMS = {
    "*/5 * * * *": "Thu 2026-11-26T12:05:00+0000",
    "*/5 * * * * *": "Thu 2026-11-26T12:00:05+0000",
    "* * * * * *": "Thu 2026-11-26T12:00:01+0000",
    "0 9 * * 1-5 Europe/Berlin": "Fri 2026-11-27T09:00:00+0100",
    "15 0 9 * * MON-FRI Europe/Berlin": "Fri 2026-11-27T09:00:15+0100",
    "0 0 9 * * sun": "Sun 2026-11-29T09:00:00+0000",
    "0 9 L * * America/New_York": "Mon 2026-11-30T09:00:00-0500",
    "0 0 29 2 *": "Tue 2028-02-29T00:00:00+0000",
    "0 9 * * MON#1": "Mon 2026-12-07T09:00:00+0000",
    "@daily": "Fri 2026-11-27T00:00:00+0000",
    "@weekly Europe/Berlin": "Sun 2026-11-29T00:00:00+0100",
}


@pytest.mark.parametrize("line", FORMS)
def test_forms(line: str) -> None:
    assert first_time(line) == FORMS[line]


WRONG = {
    "": "has 0 fields; write five",
    "0 9 * *": "has 4 fields; write five",
    "1 2 3 4 5 6 7": "has 7 fields",
    "61 * * * *": "its minute '61' is wrong; write 0-59",
    "0 24 * * *": "its hour '24' is wrong; write 0-23",
    "0 9 * 13 *": "its month '13' is wrong; write 1-12 or JAN-DEC",
    "0 9 32 * *": "its day-of-month '32' is wrong",
    "0 9 * * FUNDAY": "its day-of-week 'FUNDAY' is wrong",
    "70 * * * * *": "its second '70' is wrong",
    "*/0 * * * *": "its minute '*/0' is wrong",
    "0 9 31 2 *": "month '2' has no day 31",
    "0 9 * * * Europe/Berln": "the zone 'Europe/Berln' is unknown; write 'Europe/Berlin'",
    "0 9 * * * Nowhere/Qqq": "the zone 'Nowhere/Qqq' is unknown; write one such as",
    "every day at noon": "has 4 fields",
    "@noon": "is unknown; write one of @yearly",
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_lines(line: str) -> None:
    with pytest.raises(ScheduleError) as raised:
        CronLine(line)
    assert WRONG[line] in str(raised.value)


def test_other_wrong_input() -> None:
    with pytest.raises(ScheduleError, match="give it once"):
        CronLine("0 9 * * * Europe/Berlin", "Europe/Paris")
    with pytest.raises(ScheduleError, match="is not a cron line"):
        CronLine(5)  # type: ignore[arg-type]
    with pytest.raises(ScheduleError, match="write 'Europe/Berlin'"):
        CronLine("0 9 * * *", "berlin")
    with pytest.raises(ScheduleError, match="write 'America/New_York'"):
        CronLine("0 9 * * *", "New York")


def test_without_cronsim(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cronsim", None)
    with pytest.raises(ScheduleError, match=r"pip install 'gresque\[cron\]'"):
        CronLine("* * * * *")


def test_the_zone_may_be_given_twice() -> None:
    assert CronLine("0 9 * * * Europe/Berlin", "Europe/Berlin").text == "0 9 * * * Europe/Berlin"
    assert CronLine("0 9 * * *").text == "0 9 * * *"


GAPS = {
    "30 2 * * * Europe/Berlin": ("2027-03-28", "02:30", "03:00"),
    "0,45 2 * * * Europe/Berlin": ("2027-03-28", "02:00", "03:00"),
    "15 30 2 * * * America/New_York": ("2027-03-14", "02:30", "03:00"),
    "15 2 * * * Australia/Lord_Howe": ("2027-10-03", "02:15", "02:30"),
    "*/30 2 * * * Europe/Berlin": ("2027-03-28", "02:00", None),
    "30 3 * * * Europe/Berlin": None,
    "30 1 * * * Europe/Berlin": None,
    "0 * * * * Europe/Berlin": None,
    "30 2 * * *": None,
    "30 2 * * MON Europe/Berlin": None,
}


@pytest.mark.parametrize("line", GAPS)
def test_gaps(line: str) -> None:
    gap = CronLine(line).gap(1_795_694_400_000)
    assert gap == GAPS[line] or (gap and (str(gap.day), *gap[1:]) == GAPS[line])
