"""The master: forks worker processes, replaces them, passes signals on, and keeps account."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace

import gresque.stdio as stdio
from gresque.connection.topology import resolve_url
from gresque.jobs.hooks import process_hooks
from gresque.master import freeze_monitor
from gresque.master.child import Child, describe_death
from gresque.master.freeze_monitor import FreezeMonitor
from gresque.master.pidfile import PidFile
from gresque.master.restart_backoff import RestartBackoff
from gresque.master.signals import ENDED_AT_START, SignalPipe
from gresque.master.spawner import EXIT_BOOT_FAILED, EXIT_OK, Spawner, load, prepare_connection
from gresque.master.status_reporter import Standing, StatusReporter
from gresque.processes.identity import worker_id
from gresque.processes.kind import Kind
from gresque.processes.scoreboard import Ending
from gresque.processes.state import ProcessState
from gresque.raised import one_line
from gresque.settings import Settings
from gresque.store.ledger import Totals
from gresque.unpatched import original

log = logging.getLogger("gresque.master")

LOOK_SECONDS = 1.0
"""How often the master looks at its children unasked."""

QUARANTINES = 4
"""Processes for suspects, beside the WORKER_COUNT others: one that takes some, and those whose
suspects run for long."""

STANDBYS = 1
"""Processes that have come up and wait until they are called to work, where a process lives for few
jobs: the next one comes up while this one works."""

STANDBYS_UP_TO = 10
"""JOBS_PER_FORK. Above it, coming up is little beside the jobs."""

LOOK_FOR_READERS_SECONDS = 1.0

_MEANINGS = {
    signal.SIGUSR1: "killing the running jobs",
    signal.SIGUSR2: "paused: no new jobs until CONT",
    signal.SIGCONT: "taking jobs",
    signal.SIGHUP: "replacing every worker process",
    signal.SIGTTIN: "printing where the jobs stand",
}


def _nobody() -> None:
    """Nobody waits for the first boot."""


class WorkerManager:
    """The master process. Its life:

    1. Load the job modules (when preloading), and fork WORKER_COUNT worker processes.
    2. Wait for signals, deaths and processes that retire; keep WORKER_COUNT of them working.
    3. Shut down: TERM, INT or QUIT to all, SIGKILL for what is left after RESQUE_TERM_TIMEOUT.
    4. Recover what dead processes held, unregister, account for every job.

    It holds no hub, no greenlet and no connection while it may still fork: all of them would go on
    living in its children.
    """

    def __init__(self, settings: Settings, on_first_boot: Callable[[], None] = _nobody) -> None:
        """`on_first_boot()` is called once, when the first worker process works."""
        self._settings = settings
        self._status_reporter = StatusReporter(settings, on_first_boot)
        self._pidfile = PidFile(settings.pidfile) if settings.pidfile else None
        self._id = worker_id(settings, os.getpid())
        self._children: dict[int, Child] = {}
        self._restart_backoff = RestartBackoff()
        self._standby_backoff = RestartBackoff()
        """Of processes that are to stand by: those at work do without, if need be."""
        self._totals = Totals()
        self._exit_code = EXIT_OK
        self._boots = 0
        """Worker processes that came to work: from the first one on failing boots are tried
        again."""
        self._stopping = False
        self._paused = False
        self._counted_at = float("-inf")
        self._suspects_seen = self._suspects_answered = 0
        """Of suspects, by the processes that are gone; and by all when a trial was last forked."""
        self._rolling: list[int] = []
        """Pids that a HUP has still to replace."""
        self._kill_at: float | None = None
        self._dry = False
        self._look_for_readers_at = 0.0
        self._waitpid: Callable[[int, int], tuple[int, int]] = original("os", "waitpid")

    def run(self) -> int:
        """Run until told to stop (or the queues are empty, in a burst); returns the exit code."""
        settings = self._prepare()
        process_hooks.run("before_first_fork")
        log.info(
            "worker %s started: %d processes x %d threads, %d jobs per fork, queues %s",
            self._id,
            settings.worker_count,
            settings.thread_count,
            settings.jobs_per_fork,
            settings.queues,
        )
        try:
            while self._keep_running():
                self._note_boots()
                self._share_totals()
                self._keep_count()
                self._quarantine_suspects()
                self._roll()
                for number in self._signals.wait(self._seconds_to_wait()):
                    self._heed(number)
                self._note_boots()
                self._reap()
                self._freeze_monitor.look(self._children.values())
                self._look_after_output()
        finally:
            self._close()
        return self._exit_code

    # Starting

    def _prepare(self) -> Settings:
        self._signals = SignalPipe()
        live = load(self._settings)
        settings = replace(self._settings, redis_url=resolve_url(self._settings.redis_url))
        prepare_connection(settings)
        if self._pidfile:
            self._pidfile.write()
        self._settings = settings
        self._signals.get_ready()
        one_by_one = settings.thread_count == 1 and settings.jobs_per_fork <= STANDBYS_UP_TO
        self._standbys = STANDBYS if one_by_one else 0
        # As many as work may retire, one more is for a HUP.
        most = 2 * settings.worker_count + 1 + self._standbys + QUARANTINES
        self._spawner = Spawner(settings, self._id, self._signals, live, most)
        self._freeze_monitor = FreezeMonitor(settings.term_timeout, self._spawner.fork_frozen_proxy)
        return settings

    # Keeping WORKER_COUNT processes at work

    def _keep_running(self) -> bool:
        if self._children:
            return True
        return not (self._stopping or (self._dry and not self._suspects_wait))

    def _note_boots(self) -> None:
        for child in self._children.values():
            if not child.booted and child.row.state.has_booted:
                child.booted = True
                self._boots += 1
                self._backoff_of(child.kind).note_boot()
        self._status_reporter.look(
            Standing(
                boots=self._boots,
                at_work=sum(child.at_work for child in self._children.values()),
                stopping=self._stopping,
                rolling=bool(self._rolling),
                paused=self._paused,
                totals=self._count,
            )
        )

    def _share_totals(self) -> None:
        """For a heartbeat that finds the worker's counters deleted."""
        now = time.monotonic()
        if now - self._counted_at >= LOOK_SECONDS:
            self._counted_at = now
            self._spawner.totals.set(self._count())

    def _count(self) -> Totals:
        """What became of all jobs so far; those of a dead process are missing until its heir
        counts them."""
        rows = [h.row for h in self._children.values()]
        return sum((row.totals for row in rows if row.state.has_registered), self._totals)

    def _keep_count(self) -> None:
        """Call or fork what is missing. A process that retires has a successor while its last jobs
        run; with one thread it is waited for, so that one job runs at a time."""
        if self._stopping or not self._restart_backoff.over:
            return
        children = [c for c in self._children.values() if c.kind is not Kind.QUARANTINE]
        standbys = [child for child in children if child.stands_by]
        if self._dry:
            for child in standbys:
                child.quit()
            return
        overlap = self._settings.thread_count > 1
        # Where two cannot come up beside each other, the one that left is waited for to its end.
        hurry = self._standbys > 0 and self._standby_backoff.over
        working = sum(
            child.taking_jobs
            or not (overlap or (hurry and child.over) or child.kind is Kind.STANDBY)
            for child in children
        )
        wanted = self._settings.worker_count + bool(self._rolling)
        missing = wanted - working
        # As many again may retire; the one more of a HUP finds room all the same.
        room = self._settings.worker_count + wanted + self._standbys - len(children)
        if self._spawner.to_recover and missing > 0 and room > 0:
            self._fork(Kind.WORKER)  # it recovers the jobs of the dead before it takes a job itself
            missing, room = missing - 1, room - 1
        standbys.sort(key=lambda child: not child.booted)
        for child in standbys[: max(missing, 0)]:
            standbys.remove(child)
            child.call()
            missing -= 1
        for _ in range(min(missing, room)):
            self._fork(Kind.WORKER)
            room -= 1
        if self._boots and self._standby_backoff.over:  # those that work come first
            for _ in range(min(self._standbys - len(standbys), room)):
                self._fork(Kind.STANDBY)

    def _quarantine_suspects(self) -> None:
        """Fork a process for suspects that others have seen and left; also for what a dead one
        held, when nobody else is forked to recover it."""
        if self._stopping or not self._restart_backoff.over:
            return
        quarantines = [c for c in self._children.values() if c.kind is Kind.QUARANTINE]
        if len(quarantines) == QUARANTINES or any(child.taking_jobs for child in quarantines):
            return
        if self._suspects_wait or (self._spawner.to_recover and self._settings.thread_count > 1):
            self._suspects_answered = self._suspects_so_far()
            self._fork(Kind.QUARANTINE)

    @property
    def _suspects_wait(self) -> bool:
        return self._suspects_so_far() > self._suspects_answered

    def _suspects_so_far(self) -> int:
        return self._suspects_seen + sum(h.row.suspects_seen for h in self._children.values())

    def _roll(self) -> None:
        """Replace the next process of a HUP once there is one more at work than there need be."""
        self._rolling = [pid for pid in self._rolling if pid in self._children]
        at_work = sum(child.at_work for child in self._children.values())
        if self._rolling and at_work > self._settings.worker_count:
            self._children[self._rolling.pop(0)].quit()

    def _fork(self, kind: Kind) -> None:
        try:
            child = self._spawner.fork_worker(
                kind, self._children.values(), paused=self._paused, retry_connect=self._boots > 0
            )
        except Exception as error:
            log.error("cannot fork: %s", one_line(error))
            self._backoff_of(kind).note_failed_boot()
            return
        self._children[child.pid] = child
        log.debug("forked %s %d", kind, child.pid)

    def _reap(self) -> None:
        for pid in list(self._children):
            try:
                reaped, status = self._waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                # A hook has waited for a process of its own in gevent's loop, which reaps all.
                self._bury_now(pid, None)
                continue
            if reaped:
                self._bury_now(pid, status)

    def _bury_now(self, pid: int, status: int | None) -> None:
        self._freeze_monitor.forget(pid)
        self._bury(self._children.pop(pid), status)

    def _bury(self, child: Child, status: int | None) -> None:
        """Account for a worker process that ended, and see to what it left behind."""
        state = child.row.state
        self._suspects_seen += child.row.suspects_seen
        if not state.has_registered:
            self._spawner.to_recover += child.to_recover
            self._totals += child.row.totals  # of those that it had recovered already
        if state.has_left:
            self._totals += child.row.totals
            # The queues may not be dry any more when one ends after the dry one, and are not when
            # what a dead one held is to be put back yet. A trial did not look at what its jobs may
            # have enqueued.
            if child.kind is not Kind.STANDBY:
                dry = state is ProcessState.LEFT_DRY and child.kind is not Kind.QUARANTINE
                self._dry = dry and not self._spawner.to_recover
            self._restart_backoff.note_good_end()
            return
        self._dry = False
        if state.has_registered:
            self._spawner.to_recover.append(child.dead_process(f"it {describe_death(status)}"))
        if not state.has_booted:
            self._on_failed_boot(child, status)
        elif state not in (ProcessState.STRANDED, ProcessState.LEFT_HOLDING):
            log.error("worker process %d %s", child.pid, describe_death(status))
            self._on_crash(child)

    def _on_crash(self, child: Child) -> None:
        if child.kind is Kind.QUARANTINE and child.held and self._settings.max_recoveries:
            return  # it counts on its jobs, which comes to an end
        self._backoff_of(child.kind).note_crash(child.seconds_at_work)

    def _on_failed_boot(self, child: Child, status: int | None) -> None:
        code = None if status is None else os.waitstatus_to_exitcode(status)
        if code in {-number for number in ENDED_AT_START}:
            log.debug("worker process %d was ended at its start", child.pid)
            return
        if code != EXIT_BOOT_FAILED:
            log.error("worker process %d %s at its start", child.pid, describe_death(status))
        if self._stopping:
            return
        if not self._boots:
            self._exit_code = EXIT_BOOT_FAILED
            self._stop(signal.SIGTERM)
            return
        self._backoff_of(child.kind).note_failed_boot()

    def _backoff_of(self, kind: Kind) -> RestartBackoff:
        return self._standby_backoff if kind is Kind.STANDBY else self._restart_backoff

    # Signals

    def _heed(self, number: signal.Signals) -> None:
        if number == signal.SIGCHLD:
            return  # reaping follows every look
        if number == signal.SIGTERM and self._settings.graceful_term:
            number = signal.SIGQUIT
        if number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            first = not self._stopping
            self._stop(number)
            if first:
                log.info("%s: shutting down", number.name)
            return
        self._carry_out(number)
        log.info("%s: %s", number.name, _MEANINGS[number])

    def _carry_out(self, number: signal.Signals) -> None:
        if number == signal.SIGHUP:
            for child in self._children.values():
                if child.kind is Kind.QUARANTINE or child.stands_by:
                    child.quit()  # its like is forked where it is needed
            self._rolling = [pid for pid, child in self._children.items() if child.taking_jobs]
            return
        if number != signal.SIGTTIN:
            self._paused = number == signal.SIGUSR2
            for child in self._children.values():
                child.row.paused = self._paused
                if number == signal.SIGUSR1:
                    child.row.kill_jobs()
        self._pass_on(number)

    def _stop(self, number: signal.Signals) -> None:
        """Pass a shutdown on. A QUIT may be followed by a TERM, which cuts it short."""
        self._stopping = True
        for child in self._children.values():
            child.row.end(Ending.QUIT if number == signal.SIGQUIT else Ending.TERMINATE)
        if number != signal.SIGQUIT and self._kill_at is None:
            self._kill_at = time.monotonic() + self._settings.term_timeout
        self._pass_on(number)

    def _pass_on(self, number: signal.Signals) -> None:
        self._freeze_monitor.note_signal(self._children.values(), number)
        for child in self._children.values():
            child.signal(number)

    def _seconds_to_wait(self) -> float:
        now = time.monotonic()
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_rest()
        look = now + (freeze_monitor.LOOK_SECONDS if self._freeze_monitor.busy else LOOK_SECONDS)
        holdups = self._restart_backoff.until, self._standby_backoff.until
        deadlines = [look, self._kill_at, *holdups, self._status_reporter.due]
        return min(deadline - now for deadline in deadlines if deadline and deadline > now)

    def _kill_rest(self) -> None:
        for child in self._children.values():
            child.killed = True
            child.signal(signal.SIGKILL)
            log.error("worker process %d did not leave in time: SIGKILL", child.pid)
        self._kill_at = float("inf")

    def _look_after_output(self) -> None:
        stdio.drain()
        if time.monotonic() < self._look_for_readers_at:
            return  # with a fork for each job the loop turns hundreds of times a second
        self._look_for_readers_at = time.monotonic() + LOOK_FOR_READERS_SECONDS
        for name in stdio.forget_gone_readers():
            log.warning("the reader of %s is gone: what is written there is dropped", name)

    # Ending

    def _close(self) -> None:
        """The last child is gone: from here on the master may use the network."""
        try:
            self._settle_estate()
        except Exception as error:
            log.error(
                "left registered, with what %d dead worker processes held, "
                "for others to recover: %s",
                len(self._spawner.to_recover),
                error,
            )
        if self._pidfile:
            self._pidfile.remove()
        log.info("stopped: %s", self._totals)

    def _settle_estate(self) -> None:
        to_recover = self._spawner.to_recover
        if not (self._boots or to_recover):
            return
        from gresque.connection.errors import plain_errors
        from gresque.worker.recovery import recovery_for

        recovery = recovery_for(self._settings)
        with plain_errors(self._settings.redis_url):
            while to_recover:
                self._totals += recovery.recover(to_recover[0])
                del to_recover[0]
            recovery.store.workers.unregister(self._id)
        recovery.close()
