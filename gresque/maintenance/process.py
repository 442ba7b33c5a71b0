"""The maintenance process: one child of each master, without jobs."""

from __future__ import annotations

import faulthandler
import logging
import os
import select
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import gevent
import redis
from gevent._hub_local import get_hub_if_exists
from gevent.resolver.blocking import Resolver

import gresque.stdio as stdio
from gresque.client.default import adopt
from gresque.connection.errors import is_reply, means_not_here
from gresque.connection.outage import Outage
from gresque.errors import GresqueError
from gresque.logs import fields
from gresque.maintenance.cron import CronTicks, DeclareSchedules
from gresque.maintenance.dead import DeadProcesses
from gresque.maintenance.due_watch import DueWatch
from gresque.maintenance.failed_limits import FailedLimits
from gresque.maintenance.judge import Judge, SharedMemory
from gresque.maintenance.lease import Lease, holder_name
from gresque.maintenance.promote import Promote
from gresque.maintenance.prune import Prune
from gresque.maintenance.restore_later import RestoreLater
from gresque.maintenance.restore_ticks import RestoreTicks
from gresque.maintenance.sample import SampleQueues
from gresque.maintenance.siblings import Siblings
from gresque.maintenance.suspects import SuspectsWatch
from gresque.maintenance.sweep_locks import SweepLocks
from gresque.maintenance.task import NEVER, Task
from gresque.maintenance.unserved_shards import UnservedShards
from gresque.maintenance.verify_counts import VerifyCounts
from gresque.maintenance.vitals import VitalsReport
from gresque.maintenance.write_sums import WriteSums
from gresque.processes import stack_dump
from gresque.processes.declared_memory import DeclaredMemory
from gresque.processes.spec import ProcessSpec
from gresque.processes.title import Title
from gresque.raised import one_line
from gresque.settings import Settings
from gresque.store.store import Store
from gresque.unpatched import original

log = logging.getLogger("gresque.maintenance")

LONGEST_WAIT_SECONDS = 5.0
FIRST_BACKOFF_SECONDS = 0.1
FAILED_SECONDS = 5.0
"""How long a task that failed waits for its next try, at least."""

IGNORED = (
    # A terminal or a service manager sends these to all processes. The master needs this one until
    # the others have ended.
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTTIN,
)


def run(spec: ProcessSpec, memory: SharedMemory, title: Title) -> None:
    """Run a maintenance process from its fork to its end."""
    if get_hub_if_exists() is not None:  # a job module used the network while it was imported
        gevent.reinit()
    # The lookup of a host's name may block this process; gevent's own starts a pool of threads.
    gevent.get_hub().resolver = Resolver()
    adopt(spec.settings)  # a failure backend may enqueue
    MaintenanceProcess(spec, memory, title).run()


def run_once(
    settings: Settings,
    worker_id: str,
    started: str,
    memory: SharedMemory,
    declared: DeclaredMemory,
) -> None:
    """One pass of all tasks, for a burst, which has no maintenance process: called in a worker
    process. Its processes write their vitals themselves.

    An outage ends the pass, and is logged by the process that needs Redis for its jobs.
    """
    store, lease = Store(settings.redis_url, settings.namespace), _lease_of(worker_id, started)
    dead, failures = DeadProcesses(settings, at_once_seconds=NEVER), _Failures()
    tasks: tuple[Task, ...] = (
        lease,
        DeclareSchedules(settings, declared),
        RestoreTicks(lease),
        CronTicks(lease, settings),
        RestoreLater(lease),
        Promote(lease, settings, worker_id),
        Siblings(dead),
        Prune(lease, Judge(memory), dead),
        FailedLimits(lease, settings),
    )
    try:
        for task in tasks:
            if task.due(time.monotonic()) <= 0:
                failures.run(task, store)
        lease.release(store)
    except Exception as error:
        log.debug("no maintenance: %s", error, extra=fields("redis_away"))
    finally:
        store.close()


def _lease_of(worker_id: str, started: str) -> Lease:
    return Lease(holder_name(worker_id, started))


class MaintenanceProcess:
    """Runs each task when it is due. Its life:

    1. Take the lease if no other master has it; run all tasks once.
    2. Wait until the next one is due, in a call that blocks the whole process: nothing else runs
       here. An outage of Redis is waited out; a task that fails holds up no other one.
    3. Leave when the master says so, which ends this process last, or when the master is gone:
       give the lease back, and remove the vitals of processes that are gone.

    It holds no jobs, so it may be killed at any time. Its successor has the lease at once.
    """

    def __init__(self, spec: ProcessSpec, memory: SharedMemory, title: Title) -> None:
        settings = spec.settings
        self._settings = settings
        self._row = spec.row
        self._store = Store(settings.redis_url, settings.namespace)
        self._title = title
        self._lease = _lease_of(spec.worker_id, spec.started)
        self._vitals = VitalsReport(settings, spec.worker_id, spec.rows)
        self._sums = WriteSums(spec.sums)
        dead = DeadProcesses(settings, self._must_leave)
        keys = self._store.keys
        units = {keys.later: 0.001, keys.delayed_schedule: 1.0, keys.cron_next: 0.001}
        watch = DueWatch(settings.redis_url, settings.namespace, units, [keys.persistent_schedules])
        # A master that has not loaded the code leaves the declaring to its worker processes.
        loaded = [DeclareSchedules(settings, spec.declared)] if settings.preload else []
        self._promote = Promote(self._lease, settings, spec.worker_id, watch)
        self._tasks: Sequence[Task] = (
            self._lease,
            *loaded,
            RestoreTicks(self._lease),
            CronTicks(self._lease, settings, watch),
            RestoreLater(self._lease),
            self._promote,
            Siblings(dead),
            SuspectsWatch(spec),
            Prune(self._lease, Judge(memory), dead),
            FailedLimits(self._lease, settings),
            VerifyCounts(self._lease),
            SweepLocks(self._lease),
            self._vitals,
            self._sums,
            UnservedShards(settings),
            *([SampleQueues(self._lease)] if settings.metrics else []),
        )
        self._failures = _Failures()
        self._outage = Outage(
            settings.redis_url,
            log,
            FIRST_BACKOFF_SECONDS,
            consequence="maintenance waits for it",
        )
        self._leaving = False
        self._poller: Any = original("select", "poll")()
        self._life_fd = spec.life_fd
        self._poller.register(spec.life_fd, select.POLLIN)

    def run(self) -> None:
        self._receive_signals()
        if self._settings.background:
            stdio.leave_terminal()
        faulthandler.register(stack_dump.SIGNAL, self._row.dump, all_threads=True)
        while not self._leaving:
            self._row.beat()
            self._wait(self._run_due())
            stdio.drain()
            stdio.forget_gone_readers()
        self._leave()

    def _run_due(self) -> float:
        """Run what is due; returns for how many seconds nothing is.

        In an outage the first task, the lease, is due always: a write, which no replica answers.
        """
        for task in self._tasks:
            now = time.monotonic()
            probes = self._outage.lasts
            if self._leaving or not (probes or self._is_due(task, now)):
                continue
            self._row.beat()
            try:
                self._failures.run(task, self._store)
            except Exception as error:
                self._promote.close()  # it may hear a server that is no longer the primary
                return self._outage.note_error(error)
            if probes:
                self._outage.note_answer()
        self._title.show("holds the lease" if self._lease.held else "stands by")
        now = time.monotonic()
        return min(max(task.due(now), self._failures.left(task, now)) for task in self._tasks)

    def _is_due(self, task: Task, now: float) -> bool:
        return task.due(now) <= 0 and self._failures.left(task, now) <= 0

    def _must_leave(self) -> bool:
        """Asked by a task between two steps."""
        self._row.beat()
        return self._leaving

    # Waiting

    def _receive_signals(self) -> None:
        """They were blocked since the fork."""
        awake, wake = os.pipe()
        os.set_blocking(awake, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._awake = awake
        self._poller.register(awake, select.POLLIN)
        set_handler = original("signal", "signal")
        for number in IGNORED:
            set_handler(number, signal.SIG_IGN)
        set_handler(signal.SIGQUIT, self._on_quit)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])

    def _on_quit(self, number: int, frame: Any) -> None:
        """By the master, which notes it on the scoreboard first; or by a terminal."""
        self._leaving = self._row.must_end

    def _wait(self, seconds: float) -> None:
        """Until a task is due, Redis announces a job that is to run later, a signal comes, or the
        master is gone."""
        milliseconds = int(1000 * min(max(seconds, 0), LONGEST_WAIT_SECONDS)) + 1
        announcements = self._announcements(time.monotonic())
        if announcements is not None:
            self._poller.register(announcements, select.POLLIN)
        for descriptor, _ in self._poller.poll(milliseconds):
            if descriptor == self._life_fd:
                self._leaving = True
            elif descriptor == self._awake:
                with suppress(BlockingIOError):
                    os.read(self._awake, 4096)
        if announcements is not None:
            self._poller.unregister(announcements)

    def _announcements(self, now: float) -> int | None:
        """The descriptor by which Redis announces such jobs, while one would be looked for: what is
        not read stays readable, and there would be no waiting."""
        if self._outage.lasts or self._failures.left(self._promote, now) > 0:
            return None
        return self._promote.fileno(now)

    def _leave(self) -> None:
        try:
            if not self._outage.lasts:
                self._vitals.remove_gone(self._store)
                self._sums.run(self._store)
                self._lease.release(self._store)
        except Exception as error:
            extra = fields("maintenance_failed", task="leave")
            log.debug("left without releasing the lease: %s", error, extra=extra)
        self._promote.close()
        self._store.close()


class _Failures:
    """Tasks that failed though Redis answers."""

    def __init__(self) -> None:
        self._errors: dict[str, tuple[str, float]] = {}
        """Name of a task -> its error, and when it may be tried again."""

    def run(self, task: Task, store: Store) -> bool:
        """Run a task; False when it failed. Raises what means that Redis does not answer."""
        try:
            task.run(store)
        except Exception as error:
            if _is_outage(error):
                raise
            self._note(task, error)
            return False
        self._errors.pop(task.name, None)
        return True

    def _note(self, task: Task, error: Exception) -> None:
        """Log an error once; one that comes again and again is the same one."""
        text = one_line(error)
        known = self._errors.get(task.name, ("", 0.0))[0]
        self._errors[task.name] = (text, time.monotonic() + FAILED_SECONDS)
        if text != known:
            extra = fields("maintenance_failed", task=task.name)
            is_plain = isinstance(error, redis.RedisError | GresqueError)
            log.error(
                "the maintenance task %s failed: %s; it is tried again",
                task.name,
                text,
                exc_info=None if is_plain else error,
                extra=extra,
            )

    def left(self, task: Task, now: float) -> float:
        """Seconds until the task may be tried again."""
        return self._errors[task.name][1] - now if task.name in self._errors else 0.0


def _is_outage(error: Exception) -> bool:
    """Whether Redis does not answer, or another server is to be asked: nothing else works either.
    A command that it refuses to one task says nothing about another task."""
    if isinstance(error, redis.RedisError) and is_reply(error):
        return means_not_here(error)
    return isinstance(error, redis.ConnectionError | redis.TimeoutError | OSError)
