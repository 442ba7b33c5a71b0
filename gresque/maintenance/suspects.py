"""Suspects that wait in Redis: so a master learns of those that another master has left."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress

from gresque.errors import SettingsError
from gresque.maintenance.judge import PRUNE_SECONDS
from gresque.maintenance.task import Interval
from gresque.processes.identity import queues_of
from gresque.processes.spec import ProcessSpec
from gresque.queue_list import QueueList
from gresque.store.store import Store
from gresque.text import decoded

LOOK_SECONDS = 10.0


class SuspectsWatch:
    """Done by every master, without the lease. Where several threads share a process, the master
    forks a quarantine for suspects of its queues; with one thread its processes take them."""

    name = "suspects"

    def __init__(self, spec: ProcessSpec) -> None:
        settings = spec.settings
        assert settings.queues is not None
        self._spec = spec
        self._queues: QueueList = settings.queues
        self._threads = settings.thread_count
        self._interval = Interval(LOOK_SECONDS)

    def due(self, now: float) -> float:
        return self._interval.left(now)

    def run(self, store: Store) -> None:
        self._interval.begin(time.monotonic())
        names = store.suspects.queues()
        own = set(self._queues.resolve(sorted(names))) & names
        waiting = [queue for queue in sorted(own) if not store.suspects.forget(queue)]
        if waiting and self._threads > 1 and not self._are_paused(store, waiting):
            self._spec.row.suspects_seen += 1
            self._spec.tell_master()

    @staticmethod
    def _are_paused(store: Store, queues: Iterable[str]) -> bool:
        """A quarantine would find no job that it may take."""
        flow = store.policies.read()
        return all(map(flow.is_paused, queues))


def return_suspects(store: Store, left: Iterable[str], served: Iterable[str] = ()) -> None:
    """Called when processes with the queue lists `left` are gone for good. Where no living process
    serves one of those queues, nor one of the lists `served` has it, its suspects go back to its
    head, where other programs find them. The lists are as in process ids."""
    if not store.suspects.queues():
        return
    now, (beats, _) = store.now(), store.maintenance.heartbeats()
    living = [
        queues_of(decoded(p)) for p, beat in beats.items() if now - beat / 1000 < PRUNE_SECONDS
    ]
    store.suspects.return_unserved(_parsed(left), _parsed([*living, *served]))


def _parsed(lists: Iterable[str | None]) -> Iterator[QueueList]:
    for listed in lists:
        with suppress(SettingsError):  # the id of another program
            if listed is not None:
                yield QueueList.parse(listed)
