"""The master, as far as no process is forked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from gresque.master.manager import WorkerManager
from gresque.processes.kind import Kind
from gresque.queues import QueueList
from gresque.settings import Settings


def test_after_a_fork_that_fails_no_other_is_tried_until_the_backoff_is_over() -> None:
    manager: Any = WorkerManager(Settings(queues=QueueList.parse("q"), worker_count=3))
    tried = []

    def fork(kind: Kind, *args: Any, **kwargs: Any) -> None:
        tried.append(kind)
        raise OSError("too many processes")

    manager._spawner = SimpleNamespace(fork=fork)
    manager._act()
    manager._act()
    assert tried == [Kind.WORKER]
