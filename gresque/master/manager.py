"""The master: forks worker processes, replaces them, passes signals on, and keeps account."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Collection

from gresque.jobs.hooks import process_hooks
from gresque.logs import fields, root_free, set_context
from gresque.master import final_recovery, fleet, freeze_monitor
from gresque.master.announcement import announce
from gresque.master.child import Child
from gresque.master.drain_log import DrainLog
from gresque.master.exits import EXIT_BOOT_FAILED, EXIT_OK, Exit, kill_overdue
from gresque.master.output_monitor import OutputMonitor
from gresque.master.pidfile import PidFile
from gresque.master.served_shard import ServedShard, resolved, served_shards
from gresque.master.signals import SignalPipe
from gresque.master.spawner import load, prepare_connections
from gresque.master.status_reporter import MasterStatus, StatusReporter
from gresque.processes.tally_log import TallyLog
from gresque.settings import Settings
from gresque.store.ledger import Totals
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

    1. Load the job modules (when preloading), and fork WORKER_COUNT worker processes, as many for
       each shard.
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
        self._shards: list[ServedShard] = []
        self._status_reporter = StatusReporter(settings, on_first_boot)
        self._output_monitor = OutputMonitor()
        self._drain_log = DrainLog("INT" if settings.graceful_term else "TERM")
        self._pidfile = PidFile(settings.pidfile) if settings.pidfile else None
        self._exit_code = EXIT_OK
        self._stopping = self._paused = False
        self._kill_at: float | None = None
        self._shared_totals_at = self._look_at = float("-inf")
        self._must_look = False
        """A turn of the loop came too soon after the last look."""
        self._waitpid: Callable[[int, int], tuple[int, int]] = original("os", "waitpid")

    def run(self) -> int:
        """Run until a signal, or in a burst until the queues are empty; returns the exit code."""
        self._prepare()
        set_context(worker=self._shards[0].worker_id)
        with root_free():
            process_hooks.run("before_first_fork")
        announce(self._shards[0].worker_id, self._settings)
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

    def _prepare(self) -> None:
        self._signals = SignalPipe()
        run_worker = load(self._settings)
        self._settings = resolved(self._settings)
        shards = served_shards(self._settings)
        prepare_connections(self._settings, [shard.settings for shard in shards])
        if self._pidfile:
            self._pidfile.write()
        self._signals.get_ready()
        for shard in shards:
            shard.prepare(self._signals, run_worker)
        self._shards = shards
        self._tally_log = TallyLog([row for shard in shards for row in shard.spawner.rows])

    # The loop

    @property
    def _children(self) -> Collection[Child]:
        if len(self._shards) == 1:
            return self._shards[0].children
        return [child for shard in self._shards for child in shard.children]

    def _boots(self) -> int:
        return sum(shard.accounts.boots for shard in self._shards)

    def _totals(self) -> Totals:
        return sum((shard.totals for shard in self._shards), Totals())

    def _must_go_on(self) -> bool:
        """In a burst until all shards are dry."""
        return any(shard.must_go_on(stopping=self._stopping) for shard in self._shards)

    def _act(self) -> None:
        for shard in self._shards:
            shard.act(stopping=self._stopping, paused=self._paused, retry_connect=self._boots() > 0)

    def _note_boots(self) -> None:
        for shard in self._shards:
            if shard.note_boots():
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
        for shard in self._shards:
            shard.look()
        self._output_monitor.check()
        self._tally_log.check()
        self._drain_log.check(
            self._children, stopping=self._stopping, draining=self._kill_at is None
        )

    def _report(self) -> None:
        self._status_reporter.report(
            MasterStatus(
                boots=self._boots_or_given_up(),
                at_work=lambda: sum(child.at_work for child in self._children),
                stopping=self._stopping,
                rolling=fleet.is_rolling(self._children),
                paused=self._paused,
                totals=self._totals,
            )
        )

    def _boots_or_given_up(self) -> int:
        """The processes of a shard that was away at the start are not waited for."""
        boots = self._boots()
        away = [shard for shard in self._shards if shard.failed_first]
        return boots + sum(shard.settings.worker_count for shard in away) if boots else 0

    def _share_totals(self) -> None:
        """For a heartbeat that finds the worker's counters deleted."""
        now = time.monotonic()
        if now - self._shared_totals_at >= CHECK_SECONDS:
            self._shared_totals_at = now
            for shard in self._shards:
                shard.share_totals()

    def _seconds_to_wait(self) -> float:
        now = time.monotonic()
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_rest()
        busy = any(shard.freeze_monitor.busy for shard in self._shards)
        check = freeze_monitor.CHECK_SECONDS if busy else CHECK_SECONDS
        deadlines = [now + check, self._kill_at, self._status_reporter.due]
        for shard in self._shards:
            deadlines += shard.deadlines()
        if self._must_look:
            deadlines.append(max(self._look_at, now + 0.001))
        return min(deadline - now for deadline in deadlines if deadline and deadline > now)

    # The ends of children

    def _reap(self) -> None:
        for shard in self._shards:
            for child, end in shard.reap(self._waitpid):
                if not self._stopping:
                    self._note_end(shard, child, end)

    def _note_end(self, shard: ServedShard, child: Child, end: Exit) -> None:
        """Where no process has come to work, the master ends; where there are several shards, when
        none of them let one."""
        if end is Exit.FAILED_BOOT and not shard.accounts.boots:
            shard.failed_first = True
            if all(each.failed_first for each in self._shards):
                self._exit_code = EXIT_BOOT_FAILED
                self._stop(signal.SIGTERM)
                return
        shard.hold_back(child, end)

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
        # On the scoreboard for all of them before the first one acts; see `Row.must_end`.
        for child in [child for shard in self._shards for child in shard.note_signal(number)]:
            child.signal(number)

    def _kill_rest(self) -> None:
        self._kill_at = float("inf")
        for child in self._children:
            if child.kind.takes_jobs:
                kill_overdue(child)

    def _close(self) -> None:
        """The last child is gone: from here on the master may use the network."""
        for shard in self._shards:
            accounts, spawner = shard.accounts, shard.spawner
            if accounts.boots or accounts.to_recover:
                final_recovery.finish(
                    shard.settings, shard.worker_id, spawner.started, accounts, spawner.sums
                )
        if self._pidfile:
            self._pidfile.remove()
        self._tally_log.finish()
        totals = self._totals()
        log.info("stopped: %s", totals, extra=fields("worker_stopped", **totals._asdict()))
