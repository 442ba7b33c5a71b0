"""What follows from a pulse that does not change."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace
from typing import Any

import pytest

from gresque.master import freeze_monitor
from gresque.master.freeze_monitor import CHECK_SECONDS, FROZEN_SECONDS, FreezeMonitor
from gresque.processes.kind import Kind
from gresque.processes.scoreboard import Scoreboard
from tests.support.registered import Clock
from tests.unit.test_stack_dump import HANGS


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(freeze_monitor, "time", clock)
    return clock


@pytest.fixture
def child() -> Any:
    """A worker process without jobs; what is done to it stands in `told`."""
    (row,) = Scoreboard(1, 1).rows
    row.beat()
    told: list[str] = []
    return SimpleNamespace(
        pid=11, kind=Kind.WORKER, row=row, told=told,
        kill=lambda: told.append("kill"), signal=lambda number: told.append("dump"),
    )  # fmt: skip


@pytest.fixture
def monitor(clock: Clock) -> FreezeMonitor:
    return FreezeMonitor(8.0, lambda child, since: 12)


def test_a_kill_that_cannot_reach_its_jobs_ends_the_process(
    monitor: FreezeMonitor, clock: Clock, child: Any
) -> None:
    monitor.check([child])
    monitor.note_signal([child], signal.SIGTERM)
    end = clock.now + FROZEN_SECONDS
    while clock.now < end:
        assert "kill" not in child.told
        clock.now += CHECK_SECONDS
        monitor.check([child])
    assert child.told == ["dump", "kill"]


def test_a_dump_that_shows_no_job_is_asked_for_again(
    monitor: FreezeMonitor, clock: Clock, child: Any
) -> None:
    """The process had no CPU to write it, or took up the job that hangs just after it."""

    def pass_seconds(seconds: float) -> int:
        end, before = clock.now + seconds, child.told.count("dump")
        while clock.now < end:
            clock.now += CHECK_SECONDS
            monitor.check([child])
        return child.told.count("dump") - before

    monitor.check([child])
    assert pass_seconds(7.1) == 4
    child.row.threads[0] = 6  # the job in slot 5
    os.pwrite(
        child.row.dump, HANGS.replace("low-17", "low-0").replace("high-2", "high-0").encode(), 0
    )
    assert pass_seconds(60) == 0


def test_a_machine_that_stood_still_has_no_frozen_process(
    monitor: FreezeMonitor, clock: Clock, child: Any
) -> None:
    """The master is the first to look after the pause."""
    monitor.check([child])
    monitor.note_signal([child], signal.SIGTERM)
    for seconds in (1.2, 2.0, 3600.0):
        clock.now += seconds
        monitor.check([child])
        child.row.beat()
        clock.now += CHECK_SECONDS
        monitor.check([child])
        monitor.note_signal([child], signal.SIGTERM)
    assert "kill" not in child.told


@pytest.mark.parametrize("taken_in", [False, True])
def test_a_pulse_after_a_kill_does_not_show_that_it_was_taken_in(
    monitor: FreezeMonitor, clock: Clock, child: Any, taken_in: bool
) -> None:
    """The job that hangs may have begun between that pulse and the signal's handler."""
    monitor.check([child])
    child.row.kill_jobs()
    monitor.note_signal([child], signal.SIGUSR1)
    child.row.beat()
    if taken_in:
        child.row.kills_done = child.row.kills
    for _ in range(2 + int(FROZEN_SECONDS / CHECK_SECONDS)):
        clock.now += CHECK_SECONDS
        monitor.check([child])
    assert ("kill" in child.told) == (not taken_in)
