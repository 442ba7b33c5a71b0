from __future__ import annotations

from typing import Any

import pytest

from gresque.master.child import Child
from gresque.master.drain_log import SAY_SECONDS, DrainLog
from gresque.processes.kind import Kind
from gresque.processes.scoreboard import Scoreboard
from gresque.store.ledger import Totals
from tests.unit.test_tallies import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Clock:
    caplog.set_level("INFO", "gresque.master")
    clock = Clock()
    monkeypatch.setattr("time.monotonic", clock)
    return clock


def children(*kinds: Kind) -> list[Child]:
    found = []
    for pid, (row, kind) in enumerate(zip(Scoreboard(len(kinds), 1).rows, kinds, strict=True)):
        row.kind = kind
        found.append(Child(pid, "vm:1:q", 1, row))
    return found


def test_every_ten_seconds_it_says_for_what_it_waits(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    one, two, _maintenance = there = children(Kind.WORKER, Kind.WORKER, Kind.MAINTENANCE)
    drain_log = DrainLog()
    drain_log.check(there, stopping=True, draining=True)
    drain_log.begin()
    one.row.totals = Totals(1010, 10)
    two.row.totals = Totals(3)
    one.row.waits.write({"m.fetch": 999, "m.send": 1})
    two.row.waits.write({"m.fetch": 1, "m.send": 1})
    clock.now += SAY_SECONDS - 0.1
    drain_log.check(there, stopping=True, draining=True)
    assert not caplog.records
    clock.now += 0.1
    drain_log.check(there, stopping=True, draining=True)
    drain_log.check(there, stopping=True, draining=True)
    (record,) = caplog.records
    assert record.getMessage() == (
        "waiting for 1,003 jobs since 10 s: 1,000 × m.fetch, 2 × m.send, 1 of other classes; "
        "TERM puts them back"
    )
    found: dict[str, Any] = vars(record)
    assert (found["count"], found["jobs"]) == (1003, {"m.fetch": 1000, "m.send": 2})

    one.row.totals, two.row.totals = Totals(1, 1), Totals(3, 2)
    one.row.waits.clear()
    two.row.waits.clear()
    clock.now += SAY_SECONDS
    drain_log.check(there, stopping=True, draining=False)
    assert caplog.records[-1].getMessage() == "waiting for 1 job since 20 s"

    two.row.totals = Totals(3, 3)
    clock.now += SAY_SECONDS
    drain_log.check(there, stopping=True, draining=True)
    assert len(caplog.records) == 2


def test_after_a_hup_it_says_for_what_those_wait_that_leave(
    clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.kill", lambda pid, number: None)
    one, two, three, new = there = children(*[Kind.WORKER] * 4)
    for number, child in enumerate(there, 1):
        child.outdated = child is not new
        child.row.totals = Totals(number)
    drain_log = DrainLog()
    drain_log.begin()
    one.quit()
    three.quit()
    one.row.waits.write({"m.fetch": 1})
    three.row.waits.write({"m.fetch": 3})
    clock.now += SAY_SECONDS
    drain_log.check(there, stopping=False, draining=True)
    assert caplog.messages == [
        "waiting for 4 jobs since 10 s: 4 × m.fetch; in 2 processes that are replaced: "
        "kill -TERM 0 2 puts them back"
    ]
    clock.now += SAY_SECONDS
    drain_log.check([two, new], stopping=False, draining=True)
    assert len(caplog.messages) == 1, "the one that is left has not been asked to leave"
    clock.now += SAY_SECONDS
    drain_log.check([new], stopping=False, draining=True)
    new.quit()
    clock.now += SAY_SECONDS
    drain_log.check([new], stopping=False, draining=True)
    assert len(caplog.messages) == 1, "the HUP is over"
