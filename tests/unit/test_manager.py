"""The master, as far as no process is forked."""

from __future__ import annotations

import signal
from types import SimpleNamespace
from typing import Any

from gresque.master.manager import LOOK_SECONDS, WorkerManager
from gresque.master.served_shard import served_shards
from gresque.processes.kind import Kind
from gresque.queue_list import QueueList
from gresque.settings import Settings


def test_after_a_fork_that_fails_no_other_is_tried_until_the_backoff_is_over() -> None:
    settings = Settings(queues=QueueList.parse("q"), worker_count=3)
    manager: Any = WorkerManager(settings)
    manager._shards = served_shards(settings)
    tried = []

    def fork(kind: Kind, *args: Any, **kwargs: Any) -> None:
        tried.append(kind)
        raise OSError("too many processes")

    manager._shards[0].spawner = SimpleNamespace(fork=fork)
    manager._act()
    manager._act()
    assert tried == [Kind.WORKER]


def test_a_loop_that_turns_often_looks_now_and_then() -> None:
    """With a fork for each job; what shows over a time only is looked at ten times a second."""
    settings = Settings(queues=QueueList.parse("q"))
    manager: Any = WorkerManager(settings)
    manager._shards = served_shards(settings)
    looks = []
    watch = SimpleNamespace(check=lambda *args, **kwargs: looks.append(args), busy=False)
    manager._shards[0].freeze_monitor = watch
    for name in ("output_monitor", "tally_log", "drain_log"):
        setattr(manager, f"_{name}", SimpleNamespace(check=lambda *args, **kwargs: None))
    manager._status_reporter = SimpleNamespace(report=lambda status: None, due=float("inf"))
    for _ in range(10):
        manager._look()
    assert len(looks) == 1
    assert 0 < manager._seconds_to_wait() <= LOOK_SECONDS, "the one that was left out follows"
    watch.note_signal = lambda *args: None
    manager._handle_signal(signal.SIGCONT)
    manager._look()
    assert len(looks) == 2, "a signal is answered at once"
