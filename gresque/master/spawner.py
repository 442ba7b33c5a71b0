"""Forking the children of the master, of every kind."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import sys
import time
from collections.abc import Callable, Collection, Iterable
from typing import NoReturn

import gresque.stdio as stdio
from gresque.client.default import adopt
from gresque.clock import started
from gresque.errors import BootError, CutOff, SettingsError
from gresque.forked import disown, fork_own, own
from gresque.jobs.hooks import process_hooks
from gresque.logs import fields
from gresque.maintenance.judge import SharedMemory
from gresque.master.announcement import announce_jobs
from gresque.master.child import Child
from gresque.master.exits import EXIT_BOOT_FAILED, EXIT_CUT_OFF, EXIT_OK
from gresque.master.signals import SignalPipe, endable, signals_blocked
from gresque.processes.declared_memory import DeclaredMemory
from gresque.processes.kind import Kind
from gresque.processes.last_address import share_addresses
from gresque.processes.scoreboard import Row, Scoreboard, SharedTotals
from gresque.processes.spec import DeadProcess, ProcessSpec, ProxySpec
from gresque.processes.sums import SharedSums
from gresque.processes.title import Title
from gresque.settings import Settings
from gresque.unpatched import original
from gresque.worker import boot

log = logging.getLogger("gresque.worker")

LOG_NAMES_SECONDS = 10.0
"""How often some worker process logs odd names of queues, however short processes live."""

RunWorker = Callable[[ProcessSpec], None]


def load(settings: Settings) -> RunWorker:
    """The function that a worker process runs after its fork. With preloading the job modules are
    loaded here, else in each child. Raises BootError."""
    if not settings.preload:

        def load_and_run(spec: ProcessSpec) -> None:
            with endable():
                run_worker = boot.load(spec.settings)
            announce_jobs(spec)
            run_worker(spec)

        return load_and_run
    run_worker = boot.load(settings)
    # A module that a child imports costs time, and memory that the children do not share.
    importlib.import_module("gresque.maintenance.process")
    if settings.max_rss_mb:
        importlib.import_module("gresque.worker.native.memory")
    gc.freeze()
    if sys.version_info < (3, 12):
        # A child copies the page of each string that falls out of the cache, which is full of names
        # that imports looked up. Later versions do not count references to them.
        sys._clear_type_cache()
    return run_worker


def prepare_connections(settings: Settings, each: Iterable[Settings]) -> None:
    """With preloading, import what the first connection of a child needs, and let jobs enqueue by
    these settings, in which the URLs are resolved. `each`: those of each shard that is served.
    Raises BootError."""
    if settings.preload:
        adopt(settings)
        try:
            tracked = importlib.import_module("gresque.connection.tracked")
            for alone in each:
                tracked.prepare_ahead(alone.redis_url, alone.namespace)
        except SettingsError as error:
            raise BootError(str(error)) from error


class Spawner:
    """Forks the children that serve one shard, and holds what they share with their master: the
    scoreboard, and a pipe at whose end they see that the master is gone."""

    def __init__(
        self,
        settings: Settings,
        worker_id: str,
        signals: SignalPipe,
        run_worker: RunWorker,
        most_children: int,
    ) -> None:
        self.totals = SharedTotals()
        self._settings = settings
        self._id = worker_id
        self._signals = signals
        self.started = started(time.time())
        self._run_worker = run_worker
        self._names_logged_at = float("-inf")
        """When a worker process was last asked to log odd names of queues."""
        self._maintains = settings.burst
        """Whether the next worker process does the maintenance of a burst."""
        self.rows = Scoreboard(most_children, settings.thread_count).rows
        share_addresses((shard.url, shard.namespace) for shard in settings.all_shards())
        self._judge_memory = SharedMemory()
        self.sums = SharedSums()
        self._declared = DeclaredMemory()
        self._life_read, self._life_write = os.pipe()
        own(self._life_read)
        own(self._life_write)  # else it would look as if the master lived on
        self._fork: Callable[[], int] = original("os", "fork")

    def fork(
        self,
        kind: Kind,
        siblings: Collection[Child],
        *,
        to_recover: tuple[DeadProcess, ...],
        paused: bool,
        retry_connect: bool,
    ) -> Child:
        """A child of any kind but PROXY; see `ProcessSpec`. Raises the exceptions of a
        `before_fork` hook and of the fork."""
        row = self._free_row(siblings)
        row.kind, row.paused, row.born_ms = kind, paused, int(time.time() * 1000)
        now = time.monotonic()
        logs_odd_names = kind.takes_jobs and now - self._names_logged_at >= LOG_NAMES_SECONDS
        spec = ProcessSpec(
            kind=kind,
            settings=self._settings,
            worker_id=self._id,
            started=self.started,
            born_ms=row.born_ms,
            row=row,
            rows=self.rows,
            counted=self.totals.get,
            to_recover=to_recover,
            maintain=self._maintain if self._maintains else None,
            sums=self.sums,
            declared=self._declared,
            logs_odd_names=logs_odd_names,
            retry_connect=retry_connect,
            tell_master=self._signals.wake,
            life_fd=self._life_read,
        )
        if kind.takes_jobs:
            process_hooks.run("before_fork")
            self._signals.note_children()
        pid = self._fork_into(kind, lambda: self._run(spec))
        self._maintains = False
        if logs_odd_names:
            self._names_logged_at = now
        return Child(pid, self._id, spec.born_ms, row, to_recover, shard=self._settings.shard_name)

    def _free_row(self, siblings: Collection[Child]) -> Row:
        used = {id(child.row) for child in siblings}
        row = next(row for row in self.rows if id(row) not in used)
        row.clear()
        return row

    def _run(self, spec: ProcessSpec) -> None:
        spec.row.pid = os.getpid()
        if spec.kind is Kind.MAINTENANCE:
            self._run_maintenance(spec)
        else:
            self._run_worker(spec)

    def _run_maintenance(self, spec: ProcessSpec) -> None:
        title = Title(self._settings, "maintenance")
        title.show("booting")  # the imports take a moment
        if not self._settings.preload:
            boot.patch()
        from gresque.maintenance.process import run

        run(spec, self._judge_memory, title)

    def _maintain(self) -> None:
        from gresque.maintenance.process import run_once

        run_once(self._settings, self._id, self.started, self._judge_memory, self._declared)

    def note_end(self, child: Child) -> None:
        """This child is gone."""
        child.row.pid = 0

    def fork_frozen_proxy(self, child: Child, still_since: float) -> int:
        """A PROXY for a process in which no thread gets the GIL (see `FreezeMonitor`); returns its
        pid."""
        spec = ProxySpec(
            settings=self._settings,
            worker_id=self._id,
            process_id=child.process_id,
            pid=child.pid,
            row=child.row,
            started=self.started,
            counted=self.totals.get,
            still_since=still_since,
            tell_master=self._signals.wake,
        )
        return self._fork_into(Kind.PROXY, lambda: self._stand_in(spec))

    def _stand_in(self, spec: ProxySpec) -> None:
        if not self._settings.preload:
            boot.load(self._settings)  # the proxy has to know how long a job may run
        from gresque.worker.frozen_proxy import stand_in

        stand_in(spec)

    def _fork_into(self, kind: Kind, live: Callable[[], None]) -> int:
        stdio.flush()
        with signals_blocked():
            pid = fork_own(self._fork)
            if pid == 0:
                self._live_and_exit(kind, live)
        return pid

    def _live_and_exit(self, kind: Kind, live: Callable[[], None]) -> NoReturn:
        """In the child: close the descriptors of the master, call `live`, and exit."""
        code = EXIT_BOOT_FAILED
        try:
            self._signals.leave_to_child()
            disown(self._life_write)
            os.close(self._life_write)
            live()
            code = EXIT_OK
        except BootError as error:
            log.error("cannot start: %s", error, extra=fields("boot_failed"))
        except CutOff:
            code = EXIT_CUT_OFF
        except BaseException:
            log.exception("the %s crashed", kind, extra=fields("process_crashed", kind=str(kind)))
        finally:
            try:
                stdio.finish()
            finally:
                os._exit(code)  # not the master's atexit handlers, nor what is on its stack
