"""What goes wrong in the demo: a process is killed, and a job never yields. What is done about the
job is what an operator would do, by the same functions that `gresque running` and `gresque kill`
call."""

from __future__ import annotations

import os
import signal
import time

from gresque.client.client import Client
from gresque.control.kill import kill
from gresque.demo.jobs import hog
from gresque.demo.screen import Screen
from gresque.inspector.processes import ProcessStatus
from gresque.inspector.recoveries import LoggedRecovery
from gresque.inspector.running import RunningJob

RECOVERIES_READ = 10
RUNNING_READ = 5
KILL_WAIT_SECONDS = 10.0


class KilledProcess:
    """A worker process dies by SIGKILL, in the middle of its jobs."""

    enqueues = 0

    def __init__(self, client: Client, screen: Screen) -> None:
        self._store = client.store
        self._screen = screen
        self._process = ""
        self._at = 0.0

    def happen(self) -> bool:
        """Kill the process that holds the most jobs; False when none holds any."""
        victim = max(ProcessStatus.all(self._store), key=lambda each: each.held, default=None)
        if victim is None or victim.pid is None or not victim.held:
            return False
        self._process, self._at = victim.process, time.monotonic()
        os.kill(victim.pid, signal.SIGKILL)
        self._screen.event(f"kill -9 {victim.pid}: a worker process with {victim.held:,} jobs")
        return True

    def is_over(self) -> bool:
        """Whether its jobs are where they came from."""
        for recovery in LoggedRecovery.newest(self._store, RECOVERIES_READ):
            if recovery.process == self._process:
                seconds = time.monotonic() - self._at
                self._screen.event(
                    f"{recovery.requeued:,} jobs are back in their queue, {seconds:.1f} s later",
                    "They run apart from the others, 32 at once: one may have been the cause.",
                )
                return True
        return False


class Hog:
    """A job keeps the CPU, so that the other jobs of its process stand still."""

    enqueues = 1

    def __init__(self, client: Client, screen: Screen) -> None:
        self._client = client
        self._screen = screen
        self._at = 0.0

    def happen(self) -> bool:
        self._at = time.monotonic()
        self._client.enqueue(hog)
        self._screen.event("a job that never waits is enqueued, as by mistake")
        return True

    def is_over(self) -> bool:
        """Look for it, name it and kill it, when it is found."""
        store = self._client.store
        for job in RunningJob.longest(store, RUNNING_READ):
            if job.blocks_seconds is not None:
                seconds = time.monotonic() - self._at
                job_id = str(job.item.get("id"))
                self._screen.event(
                    f"gresque running, {seconds:.1f} s later: {job.item.get('class')} {job_id}",
                    f"blocks the other jobs of its process, at {_innermost(job)}",
                )
                self._kill(job_id)
                return True
        if store.stats.summary(False).failed:
            self._screen.event("it was killed from elsewhere")
            return True
        return False

    def _kill(self, job_id: str) -> None:
        asked = time.monotonic()
        killed = kill(self._client.store, job_id, by="gresque demo", wait_seconds=KILL_WAIT_SECONDS)
        fate = ", ".join(each.answer.fate.value for each in killed) or "it has ended"
        seconds = time.monotonic() - asked
        self._screen.event(f"gresque kill {job_id}: {fate}, after {seconds:.1f} s")


def _innermost(job: RunningJob) -> str:
    return job.stack[0].strip() if job.stack else "a line that is not known"
