"""The master: forks worker processes, replaces them, passes signals on, and keeps account."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Collection
from dataclasses import replace

from gresque.connection.topology import resolve_url
from gresque.jobs.hooks import process_hooks
from gresque.logs import fields, root_free, set_context
from gresque.master import final_recovery, fleet, freeze_monitor
from gresque.master.accounts import Accounts
from gresque.master.announcement import announce
from gresque.master.child import Child
from gresque.master.drain_log import DrainLog
from gresque.master.exits import EXIT_BOOT_FAILED, EXIT_OK, Exit, kill_overdue, log_exit
from gresque.master.freeze_monitor import FreezeMonitor
from gresque.master.maintenance_watch import MaintenanceWatch
from gresque.master.output_monitor import OutputMonitor
from gresque.master.pidfile import PidFile
from gresque.master.restart_backoff import RestartBackoffs
from gresque.master.signals import SignalPipe
from gresque.master.spawner import Spawner, load, prepare_connection
from gresque.master.status_reporter import MasterStatus, StatusReporter
from gresque.processes.identity import worker_id
from gresque.processes.kind import Kind
from gresque.processes.tally_log import TallyLog
from gresque.raised import one_line
from gresque.settings import Settings
from gresque.unpatched import original

log = logging.getLogger("gresque.master")

CHECK_SECONDS = 1.0
"""How often the master looks at its children when nothing wakes it."""

LOOK_SECONDS = 0.1
"""The least time between two looks at what shows over a time."""

_MEANINGS = {
    signal.SIGUSR1: "killing the running jobs",
    signal.SIGUSR2: "paused: no new jobs until CONT",
    signal.SIGCONT: "taking jobs",
    signal.SIGHUP: "replacing every process",
    signal.SIGTTIN: "printing where the jobs stand",
}

_IDLE_AT_END = (signal.SIGUSR2, signal.SIGCONT, signal.SIGHUP)
"""They mean nothing during a shutdown. systemd sends a CONT after its TERM."""


class WorkerManager:
    """The master process. Its life:

    1. Load the job modules (when preloading), and fork WORKER_COUNT worker processes.
    2. Wait for signals, deaths and processes that retire, and carry out what `fleet` decides.
    3. Shut down: TERM, INT or QUIT to all, SIGKILL for the rest after RESQUE_TERM_TIMEOUT, and the
       end of the maintenance process last.
    4. Recover what dead processes held, unregister, account for every job.

    It holds no hub, no greenlet and no connection while it may still fork: all of them would go on
    living in its children.
    """

    def __init__(self, settings: Settings, on_first_boot: Callable[[], None] | None = None) -> None:
        """`on_first_boot()`, if given, is called once, when the first worker process works."""
        self._settings = settings
        self._sizes = fleet.Sizes.of(settings)
        self._accounts = Accounts()
        self._backoffs = RestartBackoffs(deaths_are_counted=settings.max_recoveries > 0)
        self._status_reporter = StatusReporter(settings, on_first_boot)
        self._output_monitor = OutputMonitor()
        self._drain_log = DrainLog("INT" if settings.graceful_term else "TERM")
        self._maintenance_watch = MaintenanceWatch()
        self._pidfile = PidFile(settings.pidfile) if settings.pidfile else None
        self._id = worker_id(settings, os.getpid())
        self._by_pid: dict[int, Child] = {}
        self._exit_code = EXIT_OK
        self._stopping = self._paused = False
        self._kill_at: float | None = None
        self._shared_totals_at = self._look_at = float("-inf")
        self._must_look = False
        """A turn of the loop came too soon after the last look."""
        self._waitpid: Callable[[int, int], tuple[int, int]] = original("os", "waitpid")

    def run(self) -> int:
        """Run until a signal, or in a burst until the queues are empty; returns the exit code."""
        settings = self._prepare()
        set_context(worker=self._id)
        with root_free():
            process_hooks.run("before_first_fork")
        announce(self._id, settings)
        try:
            self._report()
            while self._must_go_on():
                self._share_totals()
                self._act()
                for number in self._signals.wait(self._seconds_to_wait()):
                    self._handle_signal(number)
                self._note_boots()
                self._reap()
                self._look()
        finally:
            self._close()
        return self._exit_code

    def _prepare(self) -> Settings:
        self._signals = SignalPipe()
        run_worker = load(self._settings)
        settings = replace(self._settings, redis_url=resolve_url(self._settings.redis_url))
        prepare_connection(settings)
        if self._pidfile:
            self._pidfile.write()
        self._settings = settings
        self._signals.get_ready()
        self._spawner = Spawner(settings, self._id, self._signals, run_worker, self._sizes.most)
        self._tally_log = TallyLog(self._spawner.rows)
        self._freeze_monitor = FreezeMonitor(settings.term_timeout, self._spawner.fork_frozen_proxy)
        return settings

    # The loop

    @property
    def _children(self) -> Collection[Child]:
        return self._by_pid.values()

    def _must_go_on(self) -> bool:
        over = self._accounts.is_burst_over(quarantine=self._sizes.quarantine)
        return bool(self._by_pid) or not (self._stopping or over)

    def _note_boots(self) -> None:
        for child in self._children:
            if not child.booted and child.kind.takes_jobs and child.has_booted:
                child.booted = True
                self._accounts.boots += 1
                self._backoffs.of(child.kind).note_boot()
                if self._accounts.boots <= self._settings.worker_count:
                    self._look_at = float("-inf")  # the service manager waits for that

    def _look(self) -> None:
        """Report the state, and look at what shows over a time only. Not at each turn of the loop
        that a fork for each job brings: every object that the master uses after a fork costs it the
        copy of a page."""
        now = time.monotonic()
        self._must_look = now < self._look_at and not self._stopping
        if self._must_look:
            return
        self._look_at = now + LOOK_SECONDS
        self._report()
        self._freeze_monitor.check(self._children)
        self._maintenance_watch.check(self._children)
        self._output_monitor.check()
        self._tally_log.check()
        self._drain_log.check(
            self._children, stopping=self._stopping, draining=self._kill_at is None
        )

    def _report(self) -> None:
        self._status_reporter.report(
            MasterStatus(
                boots=self._accounts.boots,
                at_work=lambda: sum(child.at_work for child in self._children),
                stopping=self._stopping,
                rolling=fleet.is_rolling(self._children),
                paused=self._paused,
                totals=lambda: self._accounts.totals(self._children),
            )
        )

    def _share_totals(self) -> None:
        """For a heartbeat that finds the worker's counters deleted."""
        now = time.monotonic()
        if now - self._shared_totals_at >= CHECK_SECONDS:
            self._shared_totals_at = now
            self._spawner.totals.set(self._accounts.totals(self._children))

    def _seconds_to_wait(self) -> float:
        now = time.monotonic()
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_rest()
        check = freeze_monitor.CHECK_SECONDS if self._freeze_monitor.busy else CHECK_SECONDS
        deadlines = [now + check, self._kill_at, self._status_reporter.due]
        deadlines += self._backoffs.deadlines()
        if self._must_look:
            deadlines.append(max(self._look_at, now + 0.001))
        return min(deadline - now for deadline in deadlines if deadline and deadline > now)

    # The actions that the fleet decides on

    def _act(self) -> None:
        for action in fleet.decide(self._children, self._sizes, self._situation()):
            match action:
                case fleet.Fork(kind):
                    if not self._fork(kind):
                        return
                case fleet.Call(child):
                    child.call()
                case fleet.Quit(child):
                    child.quit()
                case fleet.Kill(child):
                    kill_overdue(child)

    def _situation(self) -> fleet.Situation:
        now = time.monotonic()
        return fleet.Situation(
            now=now,
            stopping=self._stopping,
            dry=self._accounts.dry,
            has_booted=self._accounts.boots > 0,
            to_recover=bool(self._accounts.to_recover),
            suspects=self._accounts.has_new_suspects(self._children),
            boots_fail=self._backoffs.of(Kind.WORKER).boots_fail,
            held_back=self._backoffs.held_back(now),
        )

    def _fork(self, kind: Kind) -> bool:
        accounts = self._accounts
        if kind is Kind.QUARANTINE:
            accounts.answer_suspects(self._children)
        try:
            child = self._spawner.fork(
                kind,
                self._children,
                to_recover=tuple(accounts.to_recover) if kind.takes_jobs else (),
                paused=self._paused,
                retry_connect=accounts.boots > 0,
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

    def _reap(self) -> None:
        for pid in list(self._by_pid):
            try:
                reaped, status = self._waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                # A hook has waited for a process of its own in gevent's loop, which reaps all.
                self._note_end(self._by_pid.pop(pid), None)
            else:
                if reaped:
                    self._note_end(self._by_pid.pop(pid), status)

    def _note_end(self, child: Child, status: int | None) -> None:
        self._freeze_monitor.forget(child.pid)
        self._spawner.note_end(child)
        end = self._accounts.note_end(child, status)
        log_exit(child, end, status)
        if self._stopping:
            return
        if end is Exit.FAILED_BOOT and not self._accounts.boots:
            self._exit_code = EXIT_BOOT_FAILED
            self._stop(signal.SIGTERM)
            return
        self._backoffs.note_end(child, end)

    # Signals

    def _handle_signal(self, number: signal.Signals) -> None:
        if number == signal.SIGCHLD:
            return  # children are reaped at every turn of the loop
        self._look_at = float("-inf")
        if number == signal.SIGTERM and self._settings.graceful_term:
            number = signal.SIGQUIT
        if number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            meaning = None if self._stopping else "shutting down"
            self._stop(number)
        else:
            meaning = None if self._stopping and number in _IDLE_AT_END else _MEANINGS[number]
            self._do(number)
        if meaning:
            log.info("%s: %s", number.name, meaning, extra=fields("signal", signal=number.name))

    def _do(self, number: signal.Signals) -> None:
        if number == signal.SIGHUP:
            for child in self._children:
                child.outdated = True
            if not self._stopping:
                self._drain_log.begin()
            return
        if number != signal.SIGTTIN:
            self._paused = number == signal.SIGUSR2
        self._pass_on(number)

    def _stop(self, number: signal.Signals) -> None:
        """Pass a shutdown on. A QUIT may be followed by a TERM, which cuts it short."""
        if not self._stopping:
            self._drain_log.begin()
        self._stopping = True
        if number != signal.SIGQUIT and self._kill_at is None:
            self._kill_at = time.monotonic() + self._settings.term_timeout
        self._pass_on(number)

    def _pass_on(self, number: signal.Signals) -> None:
        children = [child for child in self._children if child.kind.takes_jobs]
        self._freeze_monitor.note_signal(children, number)
        for child in children:  # all of them before the first one acts; see `Row.must_end`
            child.note_signal(number)
        for child in children:
            child.signal(number)

    def _kill_rest(self) -> None:
        self._kill_at = float("inf")
        for child in self._children:
            if child.kind.takes_jobs:
                kill_overdue(child)

    def _close(self) -> None:
        """The last child is gone: from here on the master may use the network."""
        accounts = self._accounts
        if accounts.boots or accounts.to_recover:
            spawner = self._spawner
            final_recovery.finish(self._settings, self._id, spawner.started, accounts, spawner.sums)
        if self._pidfile:
            self._pidfile.remove()
        self._tally_log.finish()
        totals = accounts.totals(())
        log.info("stopped: %s", totals, extra=fields("worker_stopped", **totals._asdict()))
