"""The master: forks worker processes, replaces them, passes signals on, and keeps account."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn

from gresque.errors import BootError, CutOff
from gresque.jobs.hooks import process_hooks
from gresque.master import overseer
from gresque.master.handle import WorkerHandle, describe_death
from gresque.master.herald import Herald, Standing
from gresque.master.overseer import Overseer
from gresque.master.pidfile import PidFile
from gresque.master.signals import SignalPipe, signals_blocked
from gresque.settings import Settings
from gresque.store.ledger import Totals
from gresque.store.url import resolve_url
from gresque.unpatched import original
from gresque.worker import boot
from gresque.worker.birth import Birth, Estate, Post
from gresque.worker.identity import worker_id
from gresque.worker.scoreboard import ProcessState, Row, Scoreboard

log = logging.getLogger("gresque.master")

LOOK_FOR_DEAD_SECONDS = 10.0
"""How often some worker process looks for the dead of other hosts, however short processes live."""

LOOK_SECONDS = 1.0
"""How often the master looks at its children unasked."""

TRIALS = 4
"""Processes for suspects, beside the WORKER_COUNT others: one that takes some, and those whose
suspects run for long."""

LONGEST_BACKOFF_SECONDS = 30.0
QUICK_DEATH_SECONDS = 1.0
QUICK_DEATHS_ALLOWED = 10
"""So many processes may die within a second of their birth, one after the other, before the next
one has to wait: a crash now and then costs nothing, a crash loop does not burn the machine."""

_MEANINGS = {
    signal.SIGUSR1: "killing the running jobs",
    signal.SIGUSR2: "paused: no new jobs until CONT",
    signal.SIGCONT: "taking jobs",
    signal.SIGHUP: "replacing every worker process",
    signal.SIGTTIN: "printing where the jobs stand",
}


def _nobody() -> None:
    """Nobody waits for the first boot."""


EXIT_OK, EXIT_BOOT_FAILED, EXIT_CUT_OFF = 0, 1, 2
"""Of the master; a worker process uses them too."""


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
        self._herald = Herald(settings, on_first_boot)
        self._pidfile = PidFile(settings.pidfile) if settings.pidfile else None
        self._id = worker_id(settings, os.getpid())
        self._started = time.strftime("%Y-%m-%d %H:%M:%S +0000", time.gmtime())
        self._scoreboard = Scoreboard(2 * settings.worker_count + 1 + TRIALS, settings.thread_count)
        self._overseer = Overseer(settings.term_timeout, self._fork_deputy)
        self._handles: dict[int, WorkerHandle] = {}
        self._heritage: list[Estate] = []
        """Of the dead whose jobs nobody recovered yet."""
        self._totals = Totals()
        self._exit_code = EXIT_OK
        self._boots = 0
        """Worker processes that came to work: from the first one on failing boots are tried
        again."""
        self._failed_boots = 0
        self._quick_deaths = 0
        self._no_fork_before = 0.0
        self._stopping = False
        self._paused = False
        self._sightings = self._sightings_answered = 0
        """Of suspects, by the processes that are gone; and by all when a trial was last forked."""
        self._last_look = float("-inf")
        """When a worker process was last told to look for the dead of other hosts."""
        self._rolling: list[int] = []
        """Pids that a HUP has still to replace."""
        self._kill_at: float | None = None
        self._dry = False

    def run(self) -> int:
        """Run until told to stop (or the queues are empty, in a burst); returns the exit code."""
        settings = self._settings = self._prepare(self._settings)
        self._signals = SignalPipe()
        self._life_read, self._life_write = os.pipe()
        self._fork_process = original("os", "fork")
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
                self._keep_count()
                self._try_suspects()
                self._roll()
                for number in self._signals.wait(self._seconds_to_wait()):
                    self._heed(number)
                self._note_boots()
                self._reap()
                self._overseer.look(self._handles.values())
        finally:
            self._close()
        return self._exit_code

    # Starting

    def _prepare(self, settings: Settings) -> Settings:
        self._live = (
            boot.load(settings.require, settings.failure_backend)
            if settings.preload
            else self._load_and_live
        )
        if settings.preload and settings.max_rss_mb:
            importlib.import_module("gresque.worker.memory")  # 15 ms, which no child has to spend
        settings = replace(settings, redis_url=resolve_url(settings.redis_url))
        if self._pidfile:
            self._pidfile.write()
        return settings

    def _load_and_live(self, birth: Birth) -> None:
        """Without preloading each worker process loads the job modules itself."""
        boot.load(self._settings.require, self._settings.failure_backend)(birth)

    # Keeping WORKER_COUNT processes at work

    def _keep_running(self) -> bool:
        if self._handles:
            return True
        return not (self._stopping or (self._dry and not self._suspects_wait))

    def _note_boots(self) -> None:
        for handle in self._handles.values():
            if not handle.booted and handle.row.state is not ProcessState.BOOTING:
                handle.booted = True
                self._boots += 1
                self._failed_boots = 0
        self._herald.look(
            Standing(
                boots=self._boots,
                at_work=sum(handle.at_work for handle in self._handles.values()),
                stopping=self._stopping,
                rolling=bool(self._rolling),
                paused=self._paused,
                totals=self._count,
            )
        )

    def _count(self) -> Totals:
        """What became of all jobs so far; those of a dead process are missing until its heir
        counts them."""
        rows = [h.row for h in self._handles.values()]
        return sum((row.totals for row in rows if row.heir), self._totals)

    def _keep_count(self) -> None:
        """Fork what is missing. A process that retires has a successor while its last jobs run;
        with one thread it is waited for, so that one job runs at a time."""
        if self._stopping or self._dry or time.monotonic() < self._no_fork_before:
            return
        handles = [handle for handle in self._handles.values() if not handle.trial]
        overlap = self._settings.thread_count > 1
        working = sum(handle.taking_jobs or not overlap for handle in handles)
        # As many again may retire; the one more of a HUP finds room all the same.
        wanted = self._settings.worker_count + bool(self._rolling)
        room = self._settings.worker_count + wanted - len(handles)
        for _ in range(min(wanted - working, room)):
            self._fork()

    def _try_suspects(self) -> None:
        """Fork a process for suspects that others have seen and left; also for what a dead one
        held, when nobody else is forked to recover it."""
        if self._stopping or time.monotonic() < self._no_fork_before:
            return
        trials = [handle for handle in self._handles.values() if handle.trial]
        if len(trials) == TRIALS or any(handle.taking_jobs for handle in trials):
            return
        if self._suspects_wait or (self._heritage and self._settings.thread_count > 1):
            self._sightings_answered = self._sightings_so_far()
            self._fork(trial=True)

    @property
    def _suspects_wait(self) -> bool:
        return self._sightings_so_far() > self._sightings_answered

    def _sightings_so_far(self) -> int:
        return self._sightings + sum(h.row.sightings for h in self._handles.values())

    def _roll(self) -> None:
        """Replace the next process of a HUP once there is one more at work than there need be."""
        self._rolling = [pid for pid in self._rolling if pid in self._handles]
        at_work = sum(handle.at_work for handle in self._handles.values())
        if self._rolling and at_work > self._settings.worker_count:
            handle = self._handles[self._rolling.pop(0)]
            handle.told_to_quit = True
            handle.signal(signal.SIGQUIT)

    def _fork(self, *, trial: bool = False) -> None:
        used = {id(handle.row) for handle in self._handles.values()}
        row = next(row for row in self._scoreboard.rows if id(row) not in used)
        row.clear()
        born_ms = int(time.time() * 1000)
        heritage = tuple(self._heritage)
        try:
            process_hooks.run("before_fork")
            sys.stdout.flush()
            with signals_blocked():
                pid = self._fork_process()
                if pid == 0:
                    self._be_worker(row, born_ms, heritage, trial)
        except Exception as error:
            log.error("cannot fork: %s: %s", type(error).__name__, error)
            self._failed_boots += 1
            self._hold_forks(self._failed_boots)
            return
        self._heritage = []
        if self._looks_for_the_dead():
            self._last_look = time.monotonic()
        self._handles[pid] = WorkerHandle(pid, self._id, born_ms, row, heritage, trial)
        log.debug("forked worker process %d%s", pid, ", for suspects" if trial else "")

    def _looks_for_the_dead(self) -> bool:
        """Heartbeats find dead hosts, but a process that lives for one job has none: every 10 s
        one of those looks as well."""
        return time.monotonic() - self._last_look >= LOOK_FOR_DEAD_SECONDS

    def _fork_deputy(self, handle: WorkerHandle, still_since: float) -> int:
        """A stand-in for a process that cannot speak for itself; see `Overseer`."""
        post = Post(
            settings=self._settings,
            worker_id=self._id,
            process_id=handle.process_id,
            pid=handle.pid,
            row=handle.row,
            still_since=still_since,
            tell_master=self._signals.wake,
        )
        with signals_blocked():
            pid: int = self._fork_process()
            if pid == 0:
                self._live_and_exit(lambda: self._stand_in(post))
        return pid

    def _stand_in(self, post: Post) -> None:
        if not self._settings.preload:
            boot.load(self._settings.require)  # it has to know how long a job may run
        from gresque.worker.deputy import stand_in

        stand_in(post)

    def _be_worker(
        self, row: Row, born_ms: int, heritage: tuple[Estate, ...], trial: bool
    ) -> NoReturn:
        """The rest of a worker process's life, from the fork to its exit."""
        birth = Birth(
            settings=self._settings,
            worker_id=self._id,
            started=self._started,
            born_ms=born_ms,
            row=row,
            heritage=heritage,
            paused=self._paused,
            trial=trial,
            beats_at_once=self._looks_for_the_dead(),
            patient=self._boots > 0,
            tell_master=self._signals.wake,
            life_fd=self._life_read,
        )
        self._live_and_exit(lambda: self._live(birth))

    def _live_and_exit(self, live: Callable[[], None]) -> NoReturn:
        """In a forked child: leave what is the master's, do `live`, and end there."""
        code = EXIT_BOOT_FAILED
        try:
            self._signals.leave_to_child()
            os.close(self._life_write)
            live()
            code = EXIT_OK
        except BootError as error:
            logging.getLogger("gresque.worker").error("cannot start: %s", error)
        except CutOff:
            code = EXIT_CUT_OFF
        except BaseException:
            logging.getLogger("gresque.worker").exception("the worker process crashed")
        finally:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code)  # not the master's atexit handlers, nor what is on its stack

    def _reap(self) -> None:
        for pid in list(self._handles):
            reaped, status = os.waitpid(pid, os.WNOHANG)
            if reaped:
                self._overseer.forget(pid)
                self._bury(self._handles.pop(pid), status)

    def _bury(self, handle: WorkerHandle, status: int) -> None:
        """Account for a worker process that ended, and see to what it left behind."""
        state = handle.row.state
        self._sightings += handle.row.sightings
        if not handle.row.heir:
            self._heritage += handle.heritage
            self._totals += handle.row.totals  # of those that it had recovered already
        if handle.row.left:
            self._totals += handle.row.totals
            # The queues may not be dry any more when one ends after the dry one. A trial did not
            # look at what its jobs may have enqueued.
            self._dry = state is ProcessState.DRY and not handle.trial
            self._quick_deaths = 0
            return
        self._dry = False
        if handle.row.heir:
            self._heritage.append(handle.estate(f"it {describe_death(status)}"))
        if state is ProcessState.BOOTING:
            self._on_failed_boot(handle, status)
        elif state is not ProcessState.STRANDED:
            log.error("worker process %d %s", handle.pid, describe_death(status))
            self._on_crash(handle)

    def _on_crash(self, handle: WorkerHandle) -> None:
        if handle.trial and handle.held and self._settings.max_recoveries:
            return  # it counts on its jobs, which comes to an end
        quick = time.time() - handle.born_ms / 1000 < QUICK_DEATH_SECONDS
        self._quick_deaths = self._quick_deaths + 1 if quick else 0
        if self._quick_deaths > QUICK_DEATHS_ALLOWED:
            self._hold_forks(self._quick_deaths - QUICK_DEATHS_ALLOWED)

    def _on_failed_boot(self, handle: WorkerHandle, status: int) -> None:
        if os.WIFSIGNALED(status) or os.WEXITSTATUS(status) != EXIT_BOOT_FAILED:
            log.error("worker process %d %s at its start", handle.pid, describe_death(status))
        if self._stopping:
            return
        if not self._boots:
            self._exit_code = EXIT_BOOT_FAILED
            self._stop(signal.SIGTERM)
            return
        self._failed_boots += 1
        self._hold_forks(self._failed_boots)

    def _hold_forks(self, failures: int) -> None:
        backoff = min(2.0**failures, LONGEST_BACKOFF_SECONDS)
        self._no_fork_before = time.monotonic() + backoff
        log.error("the next worker process is tried in %.0f s", backoff)

    # Signals

    def _heed(self, number: signal.Signals) -> None:
        if number == signal.SIGCHLD:
            return  # reaping follows every look
        if number == signal.SIGTERM and self._settings.graceful_term:
            number = signal.SIGQUIT
        if number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            if not self._stopping:
                log.info("%s: shutting down", number.name)
            self._stop(number)
            return
        log.info("%s: %s", number.name, _MEANINGS[number])
        if number == signal.SIGHUP:
            for handle in self._handles.values():
                if handle.trial:
                    handle.told_to_quit = True
                    handle.signal(signal.SIGQUIT)  # its like is forked where it is needed
            self._rolling = [pid for pid, handle in self._handles.items() if handle.taking_jobs]
            return
        if number != signal.SIGTTIN:
            self._paused = number == signal.SIGUSR2
        self._pass_on(number)

    def _stop(self, number: signal.Signals) -> None:
        """Pass a shutdown on. A QUIT may be followed by a TERM, which cuts it short."""
        self._stopping = True
        if number != signal.SIGQUIT and self._kill_at is None:
            self._kill_at = time.monotonic() + self._settings.term_timeout
        self._pass_on(number)

    def _pass_on(self, number: signal.Signals) -> None:
        self._overseer.note_signal(self._handles.values(), number)
        for handle in self._handles.values():
            handle.signal(number)

    def _seconds_to_wait(self) -> float:
        now = time.monotonic()
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_rest()
        look = now + (overseer.LOOK_SECONDS if self._overseer.busy else LOOK_SECONDS)
        deadlines = [look, self._kill_at, self._no_fork_before, self._herald.due]
        return min(deadline - now for deadline in deadlines if deadline and deadline > now)

    def _kill_rest(self) -> None:
        for handle in self._handles.values():
            log.error("worker process %d did not leave in time: SIGKILL", handle.pid)
            handle.killed = True
            handle.signal(signal.SIGKILL)
        self._kill_at = float("inf")

    # Ending

    def _close(self) -> None:
        """The last child is gone: from here on the master may use the network."""
        try:
            self._settle_estate()
        except Exception as error:
            log.error(
                "left registered, with what %d dead worker processes held, "
                "for others to recover: %s",
                len(self._heritage),
                error,
            )
        if self._pidfile:
            self._pidfile.remove()
        log.info("stopped: %s", self._totals)

    def _settle_estate(self) -> None:
        if not (self._boots or self._heritage):
            return
        from gresque.store.connection import told_plainly
        from gresque.worker.recovery import recovery_for

        recovery = recovery_for(self._settings)
        with told_plainly(self._settings.redis_url):
            while self._heritage:
                self._totals += recovery.recover(self._heritage[0])
                del self._heritage[0]
            recovery.store.unregister_worker(self._id)
        recovery.close()
