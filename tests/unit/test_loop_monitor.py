"""How the loop monitor checks timeouts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from gresque.worker.native.loop_monitor import LoopMonitor
from gresque.worker.threads.kills import Kill

FIRST, NEXT = (b"0", "q", b"first"), (b"1", "q", b"next")


class Thread(SimpleNamespace):
    """Takes its next job as soon as somebody has read the deadline of the first one."""

    deadlines = ((FIRST, 10.0), (NEXT, 20.0))
    passed_deadline = None
    reads = 0
    since = 5.0
    spawned = None

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
