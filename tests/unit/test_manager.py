"""What the master concludes from the ends of its processes, whatever order it learns of them in."""

from __future__ import annotations

from itertools import permutations
from types import SimpleNamespace
from typing import Any

import pytest

from gresque.master.child import Child
from gresque.master.manager import WorkerManager
from gresque.processes.kind import Kind
from gresque.processes.scoreboard import Row, Scoreboard
from gresque.processes.spec import DeadProcess
from gresque.processes.state import ProcessState
from gresque.queues import QueueList
from gresque.settings import Settings
from tests.support.states import bring_to


@pytest.fixture
def manager() -> WorkerManager:
    manager: Any = WorkerManager(Settings(queues=QueueList.parse("q")))
    to_recover: list[DeadProcess] = []
    manager._spawner = SimpleNamespace(to_recover=to_recover)
    return manager


def ended(row: Row, pid: int, *, state: ProcessState, kind: Kind) -> Child:
    row.kind = kind
    bring_to(row, state)
    return Child(pid, "host:1:q:1:5:9", 1, row)


def test_a_burst_goes_on_while_the_dead_ones_jobs_are_to_be_put_back(
    manager: WorkerManager,
) -> None:
    """Two found the queues dry while a trial held the rest, and the trial died."""
    rows = Scoreboard(3, 5).rows
    ends = [
        (ended(rows[0], 11, state=ProcessState.LEFT_DRY, kind=Kind.WORKER), 0),
        (ended(rows[1], 12, state=ProcessState.READY, kind=Kind.QUARANTINE), 9),
        (ended(rows[2], 13, state=ProcessState.LEFT_DRY, kind=Kind.WORKER), 0),
    ]
    for order in permutations(ends):
        manager._spawner.to_recover.clear()
        for child, status in order:
            manager._bury(child, status)
        assert [dead_process.process_id for dead_process in manager._spawner.to_recover] == [
            ends[1][0].process_id
        ]
        assert manager._keep_running(), [child.pid for child, _ in order]


def test_a_burst_ends_when_the_last_one_found_the_queues_dry(manager: WorkerManager) -> None:
    (row,) = Scoreboard(1, 5).rows
    manager._bury(ended(row, 11, state=ProcessState.LEFT_DRY, kind=Kind.WORKER), 0)
    assert not manager._keep_running()
