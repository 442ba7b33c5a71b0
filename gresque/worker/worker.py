"""A worker process: reserves jobs, has its threads perform them, settles their ends."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from gevent import Timeout, get_hub, getcurrent, sleep
from redis.exceptions import RedisError

import gresque.stdio as stdio
from gresque.connection.opening import FIRST_REPLY_SECONDS, REPLY_SECONDS
from gresque.errors import CutOff, Fenced
from gresque.failure.failure_reporter import PARTING_SECONDS, FailureReporter
from gresque.forked import end_processes
from gresque.jobs.hooks import process_hooks
from gresque.jobs.registry import registry
from gresque.logs import UNCUT
from gresque.processes.identity import process_id
from gresque.processes.kind import Kind
from gresque.processes.scoreboard import Ending
from gresque.processes.spec import ProcessSpec
from gresque.processes.state import ProcessState
from gresque.store.keys import Keys
from gresque.store.ledger import Totals
from gresque.worker.boot_retry import BootRetry
from gresque.worker.native.answers import give_answer
from gresque.worker.native.command_runner import CommandRunner
from gresque.worker.native.heartbeat import Heartbeat, WorkerRecord
from gresque.worker.native.housekeeping import Housekeeping
from gresque.worker.native.loop_monitor import KILLED_BY_USR1, LoopMonitor
from gresque.worker.native.master_wishes import Wanted
from gresque.worker.policies import Policy
from gresque.worker.threads.kills import Kills
from gresque.worker.threads.outcome import Outcome
from gresque.worker.threads.thread import A_TURN, ThreadPool
from gresque.worker.turns.batch_size import BatchSize, most_held
from gresque.worker.turns.cycle import Cycle
from gresque.worker.turns.in_flight import InFlight, ReservedJob
from gresque.worker.turns.notifier import SECOND_SECONDS, Notifier
from gresque.worker.turns.refused import RETRY_SECONDS
from gresque.worker.turns.registration import Registration
from gresque.worker.turns.wakeup import Wakeup
from gresque.worker.turns.weight import Weight

log = logging.getLogger("gresque.worker")

ORPHAN_SECONDS = 10.0
"""A process without a master that holds nothing waits this long for a Redis that is away. What it
leaves behind is an empty ledger and a registration, which others clear up."""

LINGER_SECONDS = 0.002
"""How long ends are gathered before they are settled, while other jobs still run."""

UNREGISTER_TRIES = 3

STRANDED_SECONDS = 5.0
"""So long jobs that run elsewhere by now may take to die."""

STUCK_SECONDS = 0.05
"""Jobs held in reserve that no thread took for this long go back, for other processes."""


class _Orphan:
    """Ends a worker process without a master that holds nothing and cannot leave: Redis is away.

    One that holds jobs tries on for as long as it takes: only it knows how they ended, and what it
    left behind would run again. TERM ends that one, too.
    """

    def __init__(self, in_flight: InFlight, main: Any, is_parting: Callable[[], bool]) -> None:
        """`main` is the greenlet that runs the worker. `is_parting()`: it runs hooks, which may
        take their time."""
        self._in_flight = in_flight
        self._main = main
        self._is_parting = is_parting
        self._empty_since = time.monotonic()
        self._timer: Any = get_hub().loop.timer(1.0, 1.0)
        self._timer.start(self._look)

    def _look(self) -> None:
        now = time.monotonic()
        if self._in_flight.held or self._is_parting():
            self._empty_since = now
        elif now - self._empty_since >= ORPHAN_SECONDS:
            self._timer.stop()
            log.warning("Redis stays away and this process holds nothing: it leaves")
            self._main.throw(CutOff("Redis stays away"))


class Worker:
    """One worker process. Its life:

    1. Boot: connect, register, run the `after_fork` hooks.
    2. Turns: settle and reserve; in between its threads perform.
    3. Retire: having reserved JOBS_PER_FORK jobs, told to leave, or out of work in a burst.
    4. Leave: settle the last ends, run `worker_exit` hooks, unregister.

    The main greenlet runs all of this; it is the only one that uses the cycle's connection.
    """

    def __init__(self, spec: ProcessSpec, totals: Totals, policy: Policy) -> None:
        settings = spec.settings
        assert settings.queues is not None
        self.signals: list[Any] = []
        self._spec = spec
        self._policy = policy
        self._settings = settings
        self._row = spec.row
        self._process_id = process_id(spec.worker_id, os.getpid(), spec.born_ms)
        self._keys = Keys(settings.namespace)
        self._wakeup = Wakeup()
        self._in_flight = InFlight(totals)
        self._failures = FailureReporter(settings.failure_backend, self._keys)
        self._outcome = Outcome(
            self._in_flight, self._failures, spec.worker_id, settings.on_dirty_exit
        )
        self._thread_pool = ThreadPool(
            settings.thread_count,
            self._in_flight,
            self._wakeup,
            registry,
            self._outcome,
            spec.row.threads,
        )
        self._wanted = Wanted(
            spec.row,
            quit=self.quit,
            terminate=self.terminate,
            kill=self.kill_jobs,
            pause=self.pause,
            resume=self.resume,
        )
        self._loop_monitor = LoopMonitor(
            self._thread_pool,
            self._row,
            self._wanted,
            settings.hub_blocked_seconds,
            settings.term_timeout,
        )
        self._kills = Kills(self._thread_pool, self._in_flight, self._wakeup, self._outcome)
        self._command_runner = CommandRunner(self._thread_pool, self._loop_monitor, self._kills)
        self._batch_size = BatchSize()
        self._cycle = Cycle(
            settings.redis_url,
            self._keys,
            self._in_flight,
            spec.worker_id,
            self._process_id,
            settings.queues,
            slots=most_held(settings.thread_count),
            pause=self._pause,
            revive=lambda *last: self._registration.revive(*last),
            running=self._running_jobs,
        )
        self._cycle.tells_of_names = spec.beats_at_once
        self._registration = Registration(
            self._keys, spec, self._process_id, self._in_flight, self._cycle.connection
        )
        self._notifier = Notifier(self._cycle, self._keys, self._process_id, settings.interval)
        self._quota = settings.jobs_per_fork
        self._housekeeping = Housekeeping(
            settings, self._row, self._in_flight, self._retire_at_once
        )
        self._parting = False
        self._rested = spec.kind is Kind.STANDBY
        self._killing_until: float | None = None
        self._dry = False
        self._dry_at_rest = False
        self._lost = False
        self._refused = self._cycle.refused
        self._weight = Weight(self._in_flight, self._thread_pool, self._batch_size, self._refused)
        self._retry_due = False
        self._retry_timer: Any = get_hub().loop.timer(RETRY_SECONDS)
        self._retires_for_good = False
        if policy.check_seconds is not None:
            self._check_timer: Any = get_hub().loop.timer(
                policy.check_seconds, policy.check_seconds
            )
            self._check_timer.start(self._check_policy)
        self._main = getcurrent()
        self._started = totals.reserved
        self._cpu = time.thread_time()
        self._clock = time.monotonic()

    # Life

    def run(self) -> None:
        """Live. Returns when everything is settled; what could not be stands in the ledger.

        Raises BootError when the process cannot start.
        """
        self._boot()
        try:
            self._work()
            self._settle_refused()
            self._leave()
        except Fenced:
            log.error("this process was declared dead and its jobs recovered; it starts afresh")
            self._end_what_runs_elsewhere()
            self._row.enter(ProcessState.STRANDED)
        except CutOff as error:
            log.error("left without settling: %s; %d jobs stay held", error, self._in_flight.held)
            raise

    def _boot(self) -> None:
        spec = self._spec
        self._failures.open()
        heartbeat = Heartbeat(
            self._settings,
            self._process_id,
            WorkerRecord(spec.worker_id, spec.started, spec.counted),
            spec.judge,
            self._command_runner.running,
            self._command_runner.run,
            self._housekeeping.look,
            self._on_loss,
        )
        patience = BootRetry(spec, lambda: self._wanted.ending is not Ending.NONE)
        patience.call(lambda: self._come_up(heartbeat))
        self._watch_master()
        process_hooks.run("after_fork")
        self._loop_monitor.start()
        heartbeat.start()
        # What it was told while it came up is for what there was before it: where Redis answers at
        # once the loop may turn for the first time when a job runs, and a USR1 would kill that.
        sleep(A_TURN)
        self._row.totals = self._in_flight.totals
        self._come_to_work()
        self._housekeeping.on_ready()
        spec.tell_master()
        log.debug("ready")

    def _come_up(self, heartbeat: Heartbeat) -> None:
        connection = self._cycle.connection
        # What cannot wait for Redis gives it all the time that a slow one may need.
        connection.connect(FIRST_REPLY_SECONDS if self._spec.retry_connect else REPLY_SECONDS)
        self._registration.register()
        self._row.enter(ProcessState.REGISTERED)
        if self._spec.beats_at_once:
            heartbeat.beat(connection)

    def _come_to_work(self) -> None:
        """Or to what was asked of this process while it booted."""
        row = self._row
        if self._wanted.ending is not Ending.NONE:
            row.enter(ProcessState.DRAINING)
        elif row.stands_by:
            row.enter(ProcessState.STANDING_BY)
        elif row.state is ProcessState.REGISTERED:
            row.enter(ProcessState.PAUSED if row.paused else ProcessState.READY)

    def _running_jobs(self) -> list[ReservedJob]:
        return [job for thread in self._thread_pool.threads if (job := thread.job) is not None]

    def _end_what_runs_elsewhere(self) -> None:
        """The jobs that run here run elsewhere, too, or will: have them end, by `finally`."""
        self._thread_pool.kill_jobs(
            "its process was declared dead, and the job recovered", requeue=True
        )
        until = time.monotonic() + STRANDED_SECONDS
        while any(thread.job for thread in self._thread_pool.threads) and time.monotonic() < until:
            sleep(0.01)

    def _leave(self) -> None:
        self._parting = True
        self._failures.part(self._seconds_left())
        process_hooks.run("worker_exit")
        self._end_processes()
        self._parting = False
        self._loop_monitor.stop()
        self._cycle.ask(self._notifier.stand_down)
        for _ in range(UNREGISTER_TRIES):
            number = self._cycle.number
            left = self._cycle.ask(partial(self._registration.unregister, number))
            if left <= len(self._refused):
                break
            self._turn(0)  # Redis has forgotten how jobs ended: it is brought up to date
        if self._refused:
            log.error(
                "left with %d jobs in the ledger that Redis refuses to move: they are recovered",
                len(self._refused),
            )
            self._row.enter(ProcessState.LEFT_HOLDING)
        else:
            dry = self._row.state is ProcessState.DRY
            self._row.enter(ProcessState.LEFT_DRY if dry else ProcessState.LEFT)
        self._spec.tell_master()
        log.debug("left: %s", self._in_flight.totals)

    def _end_processes(self) -> None:
        """Those that jobs have left in pools and the like."""
        try:
            end_processes(lambda: Timeout(max(self._seconds_left(), 0), False))
        except Exception:
            log.exception("cannot end the processes that jobs have left")

    def leave_to_child(self, current: Any) -> None:
        """Called in a process that user code forks, in the greenlet that forked: nothing of this
        worker may act there (see `forked_child`)."""
        for watcher in self.signals:
            watcher.cancel()
        self._row.leave_to_child()
        self._thread_pool.leave_to_child(current, self._row.threads)

    # Turns

    def _work(self) -> None:
        in_flight, pool = self._in_flight, self._thread_pool
        while not self._finished():
            if self._row.state.gives_back:
                in_flight.give_back_ready()
            want = self._want()
            if want or in_flight.ended or self._lost or self._retry_due:
                if self._rested:
                    self._rested = False
                    self._cycle.refresh()
                reserved = self._turn(want)
                if reserved:
                    if not pool.waking:
                        pool.wake_one()
                    if self._policy.listens:
                        self._notifier.found(more=reserved == want)
                elif want:
                    if self._policy.listens and self._notifier.found_nothing():
                        continue
                    self._dry, self._dry_at_rest = True, not in_flight.held
                    continue
            self._wait_until_due()

    def _finished(self) -> bool:
        if self._in_flight.held:
            return False
        if self._leaving:
            return True
        if self._refused:
            return False  # another process would run those jobs once more
        if not self._quota:
            return True
        if self._burst_is_dry:
            if self._dry_at_rest:
                self._row.enter(ProcessState.DRY)
                return True
            self._dry = False  # a job that ended since may have enqueued another: look once more
        return False

    @property
    def _leaving(self) -> bool:
        return self._row.state is ProcessState.DRAINING

    @property
    def _burst_is_dry(self) -> bool:
        return self._dry and self._policy.leaves_when_dry

    def _want(self) -> int:
        """How many jobs this process could start now."""
        if self._takes_none:
            return 0
        room = self._policy.room(self._in_flight, self._thread_pool, self._batch_size)
        want = max(0, min(room, self._quota))
        return min(want, self._weight.most()) if self._weight.heavy else want

    @property
    def _takes_none(self) -> bool:
        return bool(
            not self._row.state.takes_jobs
            or self._row.must_end
            or self._dry
            or self._refused.full
            or self._in_flight.to_requeue  # the turn that gives them back must not take them again
        )

    def _turn(self, want: int) -> int:
        in_flight, ended = self._in_flight, len(self._in_flight.ended)
        started = in_flight.reserved - len(in_flight.ready)
        self._lost = False
        retry, self._retry_due = self._retry_due, False
        self._policy.prepare(self._cycle, want)
        sent_cpu, sent = time.thread_time(), time.monotonic()
        reserved = self._cycle.turn(want, arm=self._notifier.listening, retry=retry)
        if self._refused:
            self._go_on_with_refused()
        self._quota = max(0, self._quota - reserved)  # 0 already, when it retired meanwhile
        self._row.totals = in_flight.totals
        if self._kills:
            self._answer_kills()
        cpu, clock = time.thread_time(), time.monotonic()
        self._batch_size.note_trip((clock - sent) - (cpu - sent_cpu))
        self._batch_size.note(cpu - self._cpu, clock - self._clock, started - self._started, ended)
        self._cpu, self._clock, self._started = cpu, clock, started
        self._weight.note(self._cycle.connection.reply_bytes)
        if not self._quota and reserved and not self._refused:
            self._retire()
        if want:
            self._policy.on_notice(self._cycle.notice)
        return reserved

    def _go_on_with_refused(self) -> None:
        """Some jobs cannot be moved yet. This process tries until they can, and does not retire
        meanwhile: a successor for each such process would be too many processes."""
        if not self._retry_timer.active:
            self._retry_timer.start(self._retry_soon)
        if not self._quota and not self._leaving and not self._retires_for_good:
            self._quota = self._settings.jobs_per_fork
            if self._row.state is ProcessState.RETIRING:
                self._row.enter(ProcessState.PAUSED if self._row.paused else ProcessState.READY)

    def _retry_soon(self) -> None:
        self._retry_due = True
        self._wakeup.set()

    def _settle_refused(self) -> None:
        """The last try before this process leaves."""
        if self._refused:
            self._retry_due = True
            self._turn(0)
        self._retry_timer.close()

    def _answer_kills(self) -> None:
        """Say what became of the jobs that were to be killed, now that they are settled."""
        connection = self._cycle.connection
        for token, answer in self._kills.pop_answers(self._refused.slots):
            self._cycle.ask(partial(give_answer, connection, self._keys, token, answer))

    def _retire(self) -> None:
        """All this process may reserve is reserved: its successor can start."""
        if self._row.enter(ProcessState.RETIRING):
            self._spec.tell_master()

    def _retire_at_once(self) -> None:
        """Called in the heartbeat's thread: the successor starts also while the loop is blocked."""
        self._retire()
        self._thread_pool.loop.run_callback_threadsafe(self._reserve_no_more)

    def _reserve_no_more(self) -> None:
        self._quota, self._retires_for_good = 0, True
        self._retire()
        self._wakeup.set()

    def _check_policy(self) -> None:
        """There may be jobs again that the policy takes, or none that it takes any more."""
        self._cycle.forget_queues()
        self._cycle.connection.invalidated.clear()
        if self._policy.is_over(self._in_flight, self._thread_pool, dry=self._dry):
            self._quota = 0
            self._retire()
        self._dry = False
        self._wakeup.set()

    def _wait_until_due(self) -> None:
        """Wait until another turn is worth a trip to Redis (see `_due`)."""
        in_flight, pool = self._in_flight, self._thread_pool
        pool.ring_at = self._enough_ended()
        lingered = False
        while not self._due(lingered):
            if self._dry and not in_flight.ended:
                if self._wait_for_bell():
                    self._dry = False
                    if not in_flight.held:
                        return
            elif in_flight.ready:
                ended = len(in_flight.ended)
                if not self._wakeup.wait(STUCK_SECONDS) and len(in_flight.ended) == ended:
                    self._give_back_if_stuck()
            elif not lingered and (in_flight.ended or self._want()):
                pool.lingering = True
                pool.ring_at = max(1, min(in_flight.held, self._settings.thread_count // 8))
                self._wakeup.wait(LINGER_SECONDS)
                pool.lingering = False
                lingered = True
            else:
                self._wakeup.wait(None)

    def _due(self, lingered: bool) -> bool:
        """Whether a turn is worth it now: enough has ended, or threads lack work, or it is over.

        Less than enough is worth it after 2 ms of lingering for more.
        """
        in_flight = self._in_flight
        ended = len(in_flight.ended)
        if self._lost or self._retry_due or (in_flight.ready and self._row.state.gives_back):
            return True
        if not in_flight.held and (
            self._leaving or (not self._refused and (not self._quota or self._burst_is_dry))
        ):
            return True
        if ended and (ended >= self._thread_pool.ring_at or lingered or not in_flight.running):
            return not in_flight.ready or ended >= self._thread_pool.ring_at
        if in_flight.ready:
            return False
        want = self._want()
        worthwhile = -(-self._settings.thread_count // 8)
        return want >= min(worthwhile, self._batch_size.limit, max(1, self._quota)) or (
            lingered and want > 0
        )

    def _enough_ended(self) -> int:
        """So many ends make a turn worth it while jobs are ready still: half of what is held when
        some are held in reserve, else all. The entries of large jobs that failed leave one by one.
        """
        if self._weight.heavy:
            return 1
        threads = self._settings.thread_count
        capacity = self._batch_size.capacity(threads)
        return capacity // 2 if capacity > threads else max(1, self._in_flight.held)

    def _give_back_if_stuck(self) -> None:
        """Every thread is busy with something long: what waits here, others could start now."""
        if self._in_flight.running >= self._settings.thread_count:
            self._in_flight.give_back_ready()

    def _wait_for_bell(self) -> bool:
        """Wait for work with the queues found empty; True when it is time to look again."""
        if not self._policy.listens:
            self._wakeup.wait(None)  # for a job's end, or the next check
            return False
        connection = self._cycle.connection
        try:
            if self._row.state.gives_back:
                self._notifier.stand_down()
            if self._cycle.heard():
                return True
            watcher = get_hub().loop.io(connection.fileno(), 1)
            watcher.start(self._wakeup.set)
            try:
                rung = self._wakeup.wait(self._settings.interval or None)
            finally:
                watcher.stop()
                watcher.close()
            if not rung:
                self._cycle.forget_queues()
                return True
            if not self._cycle.heard():
                return False
            self._notifier.told()
            if self._notifier.second:
                self._wakeup.wait(SECOND_SECONDS)
            return True
        except (RedisError, OSError):
            self._cycle.connection.close()
            return True  # the turn that follows connects anew

    # Signals, the master, the heartbeat

    def quit(self) -> None:
        """Take no new jobs; leave when the running ones have ended."""
        self._wanted.note_ending(Ending.QUIT)
        if self._row.enter(ProcessState.DRAINING):
            self._spec.tell_master()
            self._in_flight.give_back_ready()
        self._wakeup.set()

    def terminate(self) -> None:
        """Leave now: the running jobs are killed and go where they want to go."""
        self.quit()
        self._wanted.note_ending(Ending.TERMINATE)
        if self._killing_until is None:
            # A little before the master's SIGKILL, to say what is left behind.
            self._killing_until = time.monotonic() + max(self._settings.term_timeout - 1, 0)
            self._thread_pool.kill_jobs("shutdown", requeue=True)
            self._loop_monitor.leaving = True

    def kill_jobs(self) -> None:
        """End the running jobs, which fail: an operator means them. Go on with others."""
        self._wanted.note_kill()
        self._thread_pool.kill_jobs(KILLED_BY_USR1, requeue=False)
        self.resume()

    def log_stacks(self) -> None:
        """Print where every greenlet stands."""
        lines = [str(standing) for standing in self._command_runner.standings()]
        text = "\n".join(lines or ["no jobs are running"])
        log.info("where the jobs stand:\n%s", text, extra=UNCUT)

    def pause(self) -> None:
        """Take no new jobs until `resume`; what runs goes on."""
        self._wanted.note_pause()
        if not self._row.stands_by:
            self._row.enter(ProcessState.PAUSED)
        self._in_flight.give_back_ready()
        self._wakeup.set()

    def resume(self) -> None:
        """Take jobs again; or begin to, having stood by."""
        row = self._row
        self._wanted.note_pause()
        self._dry = False
        if row.state is ProcessState.PAUSED:
            row.enter(ProcessState.READY)
        elif row.state is ProcessState.STANDING_BY and not row.stands_by:
            row.enter(ProcessState.PAUSED if row.paused else ProcessState.READY)
        self._wakeup.set()

    def _on_loss(self) -> None:
        """Called in the heartbeat's thread: this process has no ledger any more. A turn says so and
        ends it; else what it runs would run on, though it has been given to others."""
        self._lost = True
        self._thread_pool.loop.run_callback_threadsafe(self._wakeup.set)

    def _watch_master(self) -> None:
        """A worker process without a master drains and exits: nothing is left to replace it."""
        self._life: Any = get_hub().loop.io(self._spec.life_fd, 1)
        self._life.start(self._on_master_death)

    def _on_master_death(self) -> None:
        self._life.stop()
        stdio.forget_gone_readers()
        log.warning("the master is gone; finishing the running jobs")
        self.quit()
        self._orphan = _Orphan(self._in_flight, self._main, lambda: self._parting)

    def _seconds_left(self) -> float:
        """How long this process may wait for failures that are still being told."""
        until = self._killing_until
        return PARTING_SECONDS if until is None else min(until - time.monotonic(), PARTING_SECONDS)

    def _pause(self, seconds: float) -> bool:
        """Wait out an outage; False when a shutdown has no more time."""
        resume_at = time.monotonic() + seconds
        while (now := time.monotonic()) < resume_at:
            if self._killing_until is not None and now >= self._killing_until:
                return False
            sleep(min(resume_at - now, 0.1))  # a shutdown may begin meanwhile
        return True
