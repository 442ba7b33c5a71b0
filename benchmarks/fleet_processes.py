"""Many worker processes of gresque within one process, for fleet.py; of either tree.

    python -m fleet_processes URL FIRST COUNT LONG_JOBS JOB_SECONDS

Each has the real turn loop, cycle, notifier and heartbeat, with two connections and a native
thread of its own, as `gresque work` has. It lacks a pid, a master, signals and a loop monitor. Its
heartbeat finds LONG_JOBS jobs running, each for JOB_SECONDS (0: for ever), which no thread
performs.
"""

from __future__ import annotations

import os
import sys
import time
from types import SimpleNamespace
from typing import Any

from gevent import monkey

monkey.patch_all()

import gevent  # noqa: E402

import gresque  # noqa: E402
from gresque.processes.declared_memory import DeclaredMemory  # noqa: E402
from gresque.processes.kind import Kind  # noqa: E402
from gresque.processes.scoreboard import Scoreboard  # noqa: E402
from gresque.processes.spec import ProcessSpec  # noqa: E402
from gresque.processes.sums import SharedSums  # noqa: E402
from gresque.settings import Settings  # noqa: E402
from gresque.store.commands import Running  # noqa: E402
from gresque.store.ledger import Totals  # noqa: E402
from gresque.worker.policies import Ordinary  # noqa: E402
from gresque.worker.turns import turn_loop  # noqa: E402
from gresque.worker.worker import Worker  # noqa: E402

QUEUES = "fleet-a,fleet-b,fleet-c"
THREADS = 10
EACH_HOST = 2


@gresque.job(queue="fleet-a", name="Fleet")
def noop(number: int) -> None:
    """One that comes alone."""


class LongJobs:
    """Jobs that run, in slots from 0: each ends after `seconds`, and another one starts there."""

    def __init__(self, count: int, seconds: float) -> None:
        self._count, self._seconds = count, seconds
        self._began = time.monotonic() - 2.0

    def running(self) -> Running:
        since, now = {}, time.monotonic() - self._began
        for slot in range(self._count):
            started = 0.0
            if self._seconds:
                into = self._seconds * slot / self._count  # one after the other
                started = max((now - into) // self._seconds * self._seconds + into, 0.0)
            since[str(slot)] = self._began + started
        return Running(since)


class Simulated(Worker):
    """A worker process without a process."""

    def __init__(self, spec: ProcessSpec, jobs: LongJobs) -> None:
        self._jobs = jobs
        super().__init__(spec, Totals(), Ordinary(spec))

    def _make_heartbeat(self, *names: Any) -> Any:
        runner: Any = self.command_runner
        runner.running = self._jobs.running
        return super()._make_heartbeat(*names)

    @classmethod
    def live(cls, spec: ProcessSpec, jobs: LongJobs) -> None:
        """Called in the greenlet that is its main one."""
        cls(spec, jobs)._work()

    def _work(self) -> None:
        self._register()
        self.orders.come_to_work()
        self._heartbeat.start()
        self._turns.run()


def main() -> None:
    # They all have the CPU of this thread: a job would seem to cost too much for a second one
    # beside it.
    clocks: Any = SimpleNamespace(monotonic=time.monotonic, thread_time=lambda: 0.0)
    turn_loop.time = clocks
    url, first, count, long_jobs, seconds = sys.argv[1:]
    settings = Settings.load(
        {"redis_url": url, "queues": QUEUES, "thread_count": THREADS, "jobs_per_fork": 10**9}, {}
    )
    rows = Scoreboard(int(count), THREADS).rows
    sums, declared, (life_fd, _) = SharedSums(), DeclaredMemory(), os.pipe()
    living = []
    for number, row in enumerate(rows, start=int(first)):
        host = f"fleet-{number // EACH_HOST:04d}.internal.example.com"
        spec = ProcessSpec(
            kind=Kind.WORKER,
            settings=settings,
            worker_id=f"{host}:{os.getpid()}:{QUEUES}:{EACH_HOST}:{THREADS}:{10**9}",
            started="2026-01-01 00:00:00 +0000",
            born_ms=int(time.time() * 1000) + number,
            row=row,
            rows=rows,
            counted=Totals,
            to_recover=(),
            maintain=None,
            sums=sums,
            declared=declared,
            logs_odd_names=False,
            tell_master=lambda: None,
            retry_connect=False,
            life_fd=life_fd,
        )
        jobs = LongJobs(int(long_jobs), float(seconds))
        living.append(gevent.spawn(Simulated.live, spec, jobs))
        gevent.sleep(0.01)  # processes do not come up at the same moment
    gevent.wait(living, count=1)
    sys.exit("a simulated process has ended")


if __name__ == "__main__":
    main()
