"""Runs the commands that a worker process gets through Redis, and answers them."""

from __future__ import annotations

import logging
from typing import Any

from gresque.logs import UNCUT, fields
from gresque.store.commands import Blocking, Command, Running
from gresque.worker.native.loop_monitor import LoopMonitor
from gresque.worker.native.process_orders import ProcessOrders
from gresque.worker.native.stacks import GreenletStack, all_stacks, as_dict
from gresque.worker.threads.kill_commands import KillCommands
from gresque.worker.threads.pool import ThreadPool

log = logging.getLogger("gresque.worker")


class CommandRunner:
    """Runs commands, and lists what runs, and where. The heartbeat's native thread calls it: the
    loop may be blocked by the very job that is meant."""

    def __init__(
        self,
        pool: ThreadPool,
        loop_monitor: LoopMonitor,
        kills: KillCommands,
        orders: ProcessOrders,
    ) -> None:
        self._thread_pool = pool
        self._loop_monitor = loop_monitor
        self._kills = kills
        self._orders = orders

    def run(self, order: Command) -> Any:
        """Run a command; returns its answer, or None."""
        if order.name == "kill":
            return self._kills.order(order.token, order.argument, order.by)
        if order.name == "stacks":
            stacks = [as_dict(each) for each in self.stacks()]
            return [each for each in stacks if not order.argument or each["id"] == order.argument]
        return self._orders.run(order.name, order.by) if self._orders.knows(order.name) else None

    def stacks(self) -> list[GreenletStack]:
        """The stack of every greenlet."""
        return all_stacks(
            self._thread_pool, self._loop_monitor.main_thread, self._loop_monitor.root
        )

    def log_stacks(self) -> None:
        """Log the stack of every greenlet."""
        lines = [str(stack) for stack in self.stacks()]
        text = "\n".join(lines or ["no jobs are running"])
        log.info("where the jobs stand:\n%s", text, extra=fields("stacks", **UNCUT))

    def running(self) -> Running:
        """The running jobs with their starts, on the monotonic clock, and the one that blocks the
        loop."""
        since = {
            job[0].decode(): thread.since
            for thread in list(self._thread_pool.threads)
            if (job := thread.job) is not None
        }
        blocked = self._loop_monitor.blocked
        if blocked is None or blocked.by.job is None:
            return Running(since)
        slot, stack = blocked.by.job[0].decode(), list(blocked.by.stack)
        return Running(since, Blocking(slot, blocked.since, stack))
