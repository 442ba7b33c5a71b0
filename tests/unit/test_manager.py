"""What the master concludes from the ends of its processes, whatever order it learns of them in."""

from __future__ import annotations

import signal
from itertools import permutations
from types import SimpleNamespace
from typing import Any

import pytest

from gresque.master.handle import WorkerHandle
from gresque.master.manager import WorkerManager
from gresque.queues import QueueList
from gresque.settings import Settings
from gresque.worker.birth import Estate
from gresque.worker.scoreboard import ProcessState, Row, Scoreboard


@pytest.fixture
def manager() -> WorkerManager:
    manager: Any = WorkerManager(Settings(queues=QueueList.parse("q")))
    heritage: list[Estate] = []
    manager._forks = SimpleNamespace(heritage=heritage)
    return manager


def ended(row: Row, pid: int, *, state: ProcessState, left: bool, trial: bool) -> WorkerHandle:
    row.heir, row.left, row.state = True, left, state
    return WorkerHandle(pid, "host:1:q:1:5:9", 1, row, (), trial)


def test_a_burst_goes_on_while_the_dead_ones_jobs_are_to_be_put_back(
    manager: WorkerManager,
) -> None:
    """Two found the queues dry while a trial held the rest, and the trial died."""
    rows = Scoreboard(3, 5).rows
    ends = [
        (ended(rows[0], 11, state=ProcessState.DRY, left=True, trial=False), 0),
        (ended(rows[1], 12, state=ProcessState.READY, left=False, trial=True), signal.SIGKILL),
        (ended(rows[2], 13, state=ProcessState.DRY, left=True, trial=False), 0),
    ]
    for order in permutations(ends):
        manager._forks.heritage.clear()
        for handle, status in order:
            manager._bury(handle, status)
        assert [estate.process_id for estate in manager._forks.heritage] == [ends[1][0].process_id]
        assert manager._keep_running(), [handle.pid for handle, _ in order]


def test_a_burst_ends_when_the_last_one_found_the_queues_dry(manager: WorkerManager) -> None:
    (row,) = Scoreboard(1, 5).rows
    manager._bury(ended(row, 11, state=ProcessState.DRY, left=True, trial=False), 0)
    assert not manager._keep_running()
