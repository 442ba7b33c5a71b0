"""What others ask of a worker process through Redis, and what it tells them."""

from __future__ import annotations

from typing import Any

from gresque.store.speech import Blocking, Order, Running
from gresque.worker.kills import Kills
from gresque.worker.stacks import Standing, all_standings, as_dict
from gresque.worker.thread import Crew
from gresque.worker.watcher import Watcher


class Orders:
    """Takes orders, and tells what runs, and where. The heartbeat's native thread calls it: the
    loop may be blocked by the very job that is meant."""

    def __init__(self, crew: Crew, watcher: Watcher, kills: Kills) -> None:
        self._crew = crew
        self._watcher = watcher
        self._kills = kills

    def obey(self, order: Order) -> Any:
        """Do it; what is returned, if anything, is the answer."""
        if order.verb == "kill":
            return self._kills.order(order.token, order.argument)
        if order.verb == "stacks":
            return [as_dict(each) for each in self.standings()]
        return None

    def standings(self) -> list[Standing]:
        """Where every greenlet stands."""
        return all_standings(self._crew, self._watcher.main_thread, self._watcher.root)

    def running(self) -> Running:
        """What runs since when, on the monotonic clock, and what blocks the loop."""
        since = {
            job[0].decode(): thread.since
            for thread in list(self._crew.threads)
            if (job := thread.job) is not None
        }
        blocked = self._watcher.blocked
        if blocked is None or blocked.by.job is None:
            return Running(since)
        slot, stack = blocked.by.job[0].decode(), list(blocked.by.stack)
        return Running(since, Blocking(slot, blocked.since, stack))
