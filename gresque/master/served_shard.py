"""The processes of a master that serve one shard."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace

from gresque.connection.topology import resolve_url
from gresque.logs import fields
from gresque.master import fleet
from gresque.master.accounts import Accounts
from gresque.master.child import Child
from gresque.master.exits import Exit, kill_overdue, log_exit
from gresque.master.freeze_monitor import FreezeMonitor
from gresque.master.maintenance_watch import MaintenanceWatch
from gresque.master.restart_backoff import RestartBackoffs
from gresque.master.signals import SignalPipe
from gresque.master.spawner import RunWorker, Spawner
from gresque.processes.identity import worker_id
from gresque.processes.kind import Kind
from gresque.raised import one_line
from gresque.settings import Settings
from gresque.shards import Entry
from gresque.store.ledger import Totals

log = logging.getLogger("gresque.master")

WaitPid = Callable[[int, int], tuple[int, int]]


class ServedShard:
    """Forks, calls and replaces what `fleet` decides, and keeps account of it. Each process that it
    forks serves this shard, and so does the one that takes its place; nothing is shared with the
    processes of other shards, so one that is away holds up no other. A master has one of these
    where there are no shards.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.accounts = Accounts()
        self.worker_id = worker_id(settings, os.getpid())
        self.failed_first = False
        """None of its processes has come to work, and one could not."""
        self._sizes = fleet.Sizes.of(settings)
        self._backoffs = RestartBackoffs(deaths_are_counted=settings.max_recoveries > 0)
        self._maintenance_watch = MaintenanceWatch()
        self._by_pid: dict[int, Child] = {}

    def prepare(self, signals: SignalPipe, run_worker: RunWorker) -> None:
        """Make what the children are to share, before the first fork."""
        settings = self.settings
        most = self._sizes.most
        self.spawner = Spawner(settings, self.worker_id, signals, run_worker, most)
        self.freeze_monitor = FreezeMonitor(settings.term_timeout, self.spawner.fork_frozen_proxy)

    @property
    def children(self) -> Collection[Child]:
        return self._by_pid.values()

    @property
    def totals(self) -> Totals:
        return self.accounts.totals(self.children)

    def must_go_on(self, *, stopping: bool) -> bool:
        over = self.accounts.is_burst_over(quarantine=self._sizes.quarantine)
        return bool(self._by_pid) or not (stopping or over)

    def note_boots(self) -> bool:
        """Whether one of the first WORKER_COUNT processes has come to work."""
        found = False
        for child in self.children:
            if not child.booted and child.kind.takes_jobs and child.has_booted:
                child.booted = True
                self.failed_first = False
                self.accounts.boots += 1
                self._backoffs.of(child.kind).note_boot()
                found = found or self.accounts.boots <= self.settings.worker_count
        return found

    def look(self) -> None:
        """Look at what shows over a time only."""
        self.freeze_monitor.check(self.children)
        self._maintenance_watch.check(self.children)

    def share_totals(self) -> None:
        self.spawner.totals.set(self.totals)

    def deadlines(self) -> Iterable[float]:
        return self._backoffs.deadlines()

    # The actions that the fleet decides on

    def act(self, *, stopping: bool, paused: bool, retry_connect: bool) -> None:
        """`retry_connect`: a process that is forked now waits when Redis is away."""
        for action in fleet.decide(self.children, self._sizes, self._situation(stopping=stopping)):
            match action:
                case fleet.Fork(kind):
                    if not self._fork(kind, paused=paused, retry_connect=retry_connect):
                        return
                case fleet.Call(child):
                    child.call()
                case fleet.Quit(child):
                    child.quit()
                case fleet.Kill(child):
                    kill_overdue(child)

    def _situation(self, *, stopping: bool) -> fleet.Situation:
        now = time.monotonic()
        return fleet.Situation(
            now=now,
            stopping=stopping,
            dry=self.accounts.dry,
            has_booted=self.accounts.boots > 0,
            to_recover=bool(self.accounts.to_recover),
            suspects=self.accounts.has_new_suspects(self.children),
            boots_fail=self._backoffs.of(Kind.WORKER).boots_fail,
            held_back=self._backoffs.held_back(now),
        )

    def _fork(self, kind: Kind, *, paused: bool, retry_connect: bool) -> bool:
        accounts = self.accounts
        if kind is Kind.QUARANTINE:
            accounts.answer_suspects(self.children)
        try:
            child = self.spawner.fork(
                kind,
                self.children,
                to_recover=tuple(accounts.to_recover) if kind.takes_jobs else (),
                paused=paused,
                retry_connect=retry_connect,
            )
        except Exception as error:
            log.error("cannot fork: %s", one_line(error), extra=fields("fork_failed"))
            self._backoffs.of(kind).note_failed_boot()
            return False
        if kind.takes_jobs:
            accounts.to_recover.clear()
        self._by_pid[child.pid] = child
        log.debug("forked %s", child, extra=fields("forked", child_pid=child.pid, kind=str(kind)))
        return True

    # The ends of children

    def reap(self, waitpid: WaitPid) -> Iterator[tuple[Child, Exit]]:
        """The children that have ended, and how."""
        for pid in list(self._by_pid):
            try:
                reaped, status = waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                # A hook has waited for a process of its own in gevent's loop, which reaps all.
                yield self._note_end(self._by_pid.pop(pid), None)
            else:
                if reaped:
                    yield self._note_end(self._by_pid.pop(pid), status)

    def _note_end(self, child: Child, status: int | None) -> tuple[Child, Exit]:
        self.freeze_monitor.forget(child.pid)
        self.spawner.note_end(child)
        end = self.accounts.note_end(child, status)
        log_exit(child, end, status)
        return child, end

    def hold_back(self, child: Child, end: Exit) -> None:
        """Let the successor of this child wait, where such ends come to nothing."""
        self._backoffs.note_end(child, end)

    # Signals

    def note_signal(self, number: signal.Signals) -> list[Child]:
        """Show on the scoreboard what a signal means; returns the children that are to get it."""
        children = [child for child in self.children if child.kind.takes_jobs]
        self.freeze_monitor.note_signal(children, number)
        for child in children:
            child.note_signal(number)
        return children


def served_shards(settings: Settings) -> list[ServedShard]:
    """One for each shard that this master serves, with its part of the processes. Raises
    SettingsError."""
    each = settings.processes_each()
    alone = [settings.of_shard(shard) for shard in settings.served_shards()]
    return [ServedShard(replace(one, worker_count=each)) for one in alone]


def resolved(settings: Settings) -> Settings:
    """The settings with the addresses by which this process, and all that it forks, reach the
    servers. A shard keeps its name. Raises SettingsError, BootError."""
    urls = [
        str(Entry(shard.name, resolve_url(shard.url), shard.drains))
        if shard.url.startswith("embedded:")
        else entry
        for shard, entry in zip(settings.all_shards(), settings.redis_urls, strict=False)
    ]
    return replace(settings, redis_url=resolve_url(settings.redis_url), redis_urls=tuple(urls))
