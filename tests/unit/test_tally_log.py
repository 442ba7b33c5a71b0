from __future__ import annotations

import logging
import math
import re
from typing import Any

import pytest

from gresque.processes.scoreboard import Scoreboard
from gresque.processes.tallies import ENTRIES, RETRIED, UNKNOWN
from gresque.processes.tally_log import LOOK_SECONDS, TallyLog
from tests.unit.test_tallies import BOOM, Clock

FRAME = BOOM[3]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("gresque.processes.tallies.monotonic", clock)
    monkeypatch.setattr("time.monotonic", clock)
    return clock


@pytest.fixture(autouse=True)
def _logged_at_info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="gresque.job")


def test_the_sum_of_all_processes_is_logged_after_ten_seconds(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = Scoreboard(2, 1).rows
    tally_log = TallyLog([one, two])
    for number in range(1001):
        row = one if number % 2 else two
        row.tallies.note(BOOM, f"id{number}", log_first=True)
        clock.now += 0.001
    tally_log.check()
    clock.now += 8.9
    tally_log.check()
    assert not caplog.records
    clock.now += LOOK_SECONDS
    tally_log.check()
    (record,) = caplog.records
    assert record.getMessage() == (
        f"… 1,000 more like it in the last 11 s: m.boom: ValueError at {FRAME}; "
        "the last one: gresque failed show id1000"
    )
    found: dict[str, Any] = vars(record)
    assert (found["event"], found["count"], found["job"]) == ("jobs_failed", 1000, "m.boom")
    assert (found["exception"], found["frame"]) == ("ValueError", FRAME)
    tally_log.finish()
    assert len(caplog.records) == 1


def test_at_the_end_the_rest_is_logged_the_most_frequent_first(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    (row,) = Scoreboard(1, 1).rows
    tally_log = TallyLog([row])
    for name, count in (("m.rare", 1), ("m.often", 1000)):
        for _ in range(count):
            row.tallies.note(("put back", name, "web"), "", log_first=False)
    for _ in range(2):
        row.tallies.note(("failed and not kept", "m.f", "E", ""), "", log_first=True)
    tally_log.finish()
    assert [record.getMessage() for record in caplog.records] == [
        "1,000 × m.often back in web",
        "1 × m.rare back in web",
        "… 1 more like it in the last 1 s: m.f: E; the last one: without id",
    ]


def test_attempts_that_are_followed_by_another_are_summed_too(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """At INFO. Of unknown names there is no sum: each was logged."""
    (row,) = Scoreboard(1, 1).rows
    tally_log = TallyLog([row])
    for _ in range(5):
        row.tallies.note((RETRIED, *BOOM[1:]), "id", log_first=True)
        row.tallies.note((UNKNOWN, "m.new"), "", log_first=True, window_seconds=math.inf)
    tally_log.finish()
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert "4 more attempts like it" in record.getMessage()
    assert (vars(record)["event"], vars(record)["count"]) == ("jobs_retried", 4)


def test_with_v_each_has_a_line_of_its_own(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="gresque.job")
    (row,) = Scoreboard(1, 1).rows
    tally_log = TallyLog([row])
    row.tallies.note(("put back", "m.f", "web"), "", log_first=False)
    tally_log.check()
    tally_log.finish()
    assert not caplog.records


def test_kinds_that_have_no_room_are_a_line_together(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    (row,) = Scoreboard(1, 1).rows
    tally_log = TallyLog([row])
    for number in range(ENTRIES + 100):
        row.tallies.note(("failed", f"m.f{number}", "E", ""), f"id{number}", log_first=True)
        row.tallies.note((RETRIED, f"m.f{number}", "E", ""), "", log_first=True)
        row.tallies.note(("put back", f"m.f{number}", "web"), "", log_first=False)
    tally_log.finish()
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) < ENTRIES + 3
    last = f"gresque failed show id{ENTRIES + 99}"
    assert any(
        re.fullmatch(rf"… \d+ more of other kinds in .*; the last one: {last}", x) for x in lines
    )
    assert any(
        re.match(r"… \d+ more attempts of other kinds in the last 1 s; see", x) for x in lines
    )
    assert any(re.fullmatch(r"\d+ × other classes back in their queues", x) for x in lines)


def test_an_entry_that_becomes_another_ones_is_summed_from_0(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor is anything remembered of the one before: a foreign program may have endless names."""
    (row,) = Scoreboard(1, 1).rows
    tally_log = TallyLog([row])
    for name in ("m.one", "m.two"):
        for number in range(ENTRIES):
            for _ in range(3):
                row.tallies.note(("put back", f"{name}{number}", "web"), "", log_first=False)
        tally_log.check()
        clock.now += 21
        tally_log.check()
    assert len(caplog.records) == 2 * ENTRIES
    assert all(vars(record)["count"] == 3 for record in caplog.records)
    assert len(tally_log._read) == ENTRIES
