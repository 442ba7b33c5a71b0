"""How the loop monitor checks timeouts, and when it raises kills."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from gresque import outlet
from gresque.worker.native.loop_monitor import LoopMonitor
from gresque.worker.threads.kills import Kill

FIRST, NEXT = (b"0", "q", b"first"), (b"1", "q", b"next")


class Thread(SimpleNamespace):
    """Takes its next job as soon as somebody has read the deadline of the first one."""

    deadlines = ((FIRST, 10.0), (NEXT, 20.0))
    passed_deadline = None
    reads = 0
    since = 5.0
    known = None

    @property
    def deadline(self) -> Any:
        self.reads += 1
        return self.deadlines[min(self.reads, 2) - 1]

    @property
    def job(self) -> Any:
        return NEXT if self.reads else FIRST


def test_a_deadline_that_has_passed_does_not_take_that_of_the_next_job() -> None:
    thread, kills = Thread(), []
    monitor: Any = object.__new__(LoopMonitor)
    monitor._thread_pool = SimpleNamespace(
        threads=[thread], kill_from_outside=lambda _, kill: kills.append(kill)
    )
    monitor._kill_overdue_jobs(15.0)
    assert kills == []  # the first job has ended by itself
    for _ in range(2):
        monitor._kill_overdue_jobs(25.0)
    (kill,) = kills  # once
    assert isinstance(kill, Kill)
    assert kill.job is NEXT


def test_a_kill_gets_its_time_again_after_a_gap() -> None:
    """The process had no CPU. A job that holds the GIL again and again gains nothing by that."""
    kill = Kill(FIRST, "an operator", False, 10.0)
    thread = SimpleNamespace(to_kill=kill, job=FIRST, guarded=False)
    monitor: Any = object.__new__(LoopMonitor)
    monitor._thread_pool = SimpleNamespace(threads=[thread])
    monitor._row = SimpleNamespace(blame=lambda *blamed: None)
    monitor._guarded_seconds = 60.0
    again: list[str] = []
    monitor._wishes = SimpleNamespace(wait_again=lambda: again.append("wishes"))
    monitor._blockers = SimpleNamespace(
        current_greenlet=None, wait_again=lambda now: again.append("blockers")
    )
    killed: list[float] = []
    monitor._checked, monitor._back_at = 10.0, float("-inf")

    def check(*times: float) -> None:
        for now in times:
            monitor._kill_process = lambda at=now: killed.append(at)
            monitor._forgive_gap(now)
            monitor._replace_process_if_kills_fail(now)

    check(13.0, 13.1)
    assert (killed, again) == ([], ["wishes", "blockers"])
    check(14.5)
    assert killed == []
    check(15.0)
    assert (killed, len(again)) == ([15.0], 2)


def test_an_interrupt_in_a_write_waits_for_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor: Any = object.__new__(LoopMonitor)
    monitor.root = None
    monitor._blockers = SimpleNamespace(killed=None)
    looked: list[bool] = []
    monitor._something_waits = lambda: looked.append(True)
    monkeypatch.setattr(outlet, "_interrupted", None)
    writing: Any = SimpleNamespace(f_code=outlet.Outlet.write.__code__, f_back=None)
    monitor._on_interrupt(0, SimpleNamespace(f_code=None, f_back=writing))
    assert not looked
    assert outlet._interrupted is not None
    thread, go_on = outlet._interrupted
    assert thread == threading.get_ident()
    go_on(SimpleNamespace(f_code=None, f_back=None))  # type: ignore[arg-type]
    assert looked
