from __future__ import annotations

import faulthandler
import os
import signal
import time
from collections.abc import Iterator

import pytest

from gresque.master import maintenance_watch
from gresque.master.child import Child
from gresque.master.freeze_monitor import FreezeMonitor
from gresque.master.maintenance_watch import HUNG_SECONDS, MaintenanceWatch
from gresque.processes import stack_dump
from gresque.processes.kind import Kind
from gresque.processes.scoreboard import Scoreboard
from tests.process.support import wait_for
from tests.unit.test_tallies import Clock


@pytest.fixture
def child() -> Iterator[Child]:
    """A process that hangs."""
    (row,) = Scoreboard(1, 1).rows
    row.kind = Kind.MAINTENANCE
    pid = os.fork()
    if not pid:
        faulthandler.register(stack_dump.SIGNAL, row.dump)
        row.beat()
        hangs_here()
    yield Child(pid, "vm:1:q", 1, row)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def hangs_here() -> None:
    while True:
        time.sleep(60)


def test_one_that_does_nothing_is_killed_with_its_stack_in_the_log(
    child: Child, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wait_for(lambda: child.row.pulse)
    clock = Clock()
    monkeypatch.setattr(maintenance_watch.time, "monotonic", clock)
    watch = MaintenanceWatch()

    def pass_seconds(seconds: float) -> None:
        for _ in range(int(seconds)):
            clock.now += 1
            watch.check([child])

    watch.check([child])
    pass_seconds(HUNG_SECONDS - 1)
    child.row.beat()
    pass_seconds(HUNG_SECONDS - 1)
    clock.now += 1e6  # the master was stopped
    child.row.beat()
    watch.check([child])
    assert not caplog.records
    pass_seconds(HUNG_SECONDS - 1)
    monkeypatch.undo()
    wait_for(lambda: "in `hangs_here'" in "".join(stack_dump.read(child.row.dump).stack))
    assert not child.killed
    monkeypatch.setattr(maintenance_watch.time, "monotonic", clock)
    pass_seconds(3)
    assert child.killed
    (record,) = caplog.records
    assert record.getMessage().startswith("maintenance process ")
    assert "has done nothing for 120 s; it is killed and replaced\n" in record.getMessage()
    assert "in `hangs_here'" in record.getMessage()


def test_the_freeze_monitor_leaves_it_alone(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    wait_for(lambda: child.row.pulse)
    clock = Clock()
    monkeypatch.setattr("time.monotonic", clock)

    def fork_proxy(child: Child, since: float) -> int:
        raise AssertionError("it has no jobs")

    monitor = FreezeMonitor(8.0, fork_proxy)
    for _ in range(10):
        monitor.check([child])
        clock.now += 1
    assert not monitor.busy
