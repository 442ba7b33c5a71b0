"""A worker process: it boots, works turn by turn, and leaves."""

from __future__ import annotations

import logging
import os
from typing import Any

from gevent import get_hub, sleep
from redis.exceptions import ResponseError

from gresque.connection.opening import FIRST_REPLY_SECONDS
from gresque.errors import CutOff, Fenced
from gresque.failure.failure_reporter import FailureReporter
from gresque.jobs.ends import EndRules
from gresque.jobs.hooks import process_hooks
from gresque.jobs.registry import registry
from gresque.logs import fields, root_free
from gresque.processes.identity import process_id
from gresque.processes.scoreboard import Ending
from gresque.processes.spec import ProcessSpec
from gresque.processes.state import ProcessState
from gresque.processes.vitals import vitals_of
from gresque.store.keys import Keys
from gresque.store.ledger import Totals
from gresque.text import counted
from gresque.worker.boot_retry import BootRetry
from gresque.worker.departure import end_user_code, note_end, unregister
from gresque.worker.native.command_runner import CommandRunner
from gresque.worker.native.heartbeat import Heartbeat, WorkerRecord
from gresque.worker.native.housekeeping import Housekeeping
from gresque.worker.native.lock_keeper import LockKeeper
from gresque.worker.native.loop_monitor import LoopMonitor
from gresque.worker.native.master_wishes import MasterWishes
from gresque.worker.native.process_orders import ProcessOrders
from gresque.worker.native.published_threads import PublishedThreads
from gresque.worker.orders import Orders
from gresque.worker.orphan import OrphanWatch
from gresque.worker.policies import Policy
from gresque.worker.shutdown import Shutdown
from gresque.worker.stranded import end_recovered_jobs
from gresque.worker.threads.kill_commands import KillCommands
from gresque.worker.threads.outcome import Outcome
from gresque.worker.threads.pool import ThreadPool
from gresque.worker.threads.thread import A_TURN
from gresque.worker.turns.batch_size import BatchSize, most_held
from gresque.worker.turns.cycle import Cycle
from gresque.worker.turns.demand import Demand
from gresque.worker.turns.in_flight import InFlight
from gresque.worker.turns.meters import BRIEF_JOBS, Meters
from gresque.worker.turns.notifier import Notifier
from gresque.worker.turns.registration import Registration
from gresque.worker.turns.turn_loop import TurnLoop
from gresque.worker.turns.wakeup import Wakeup
from gresque.worker.turns.weight import Weight

log = logging.getLogger("gresque.worker")


class Worker:
    """One worker process. Its life (see `ProcessState`):

    1. Boot: connect, register, run the `after_fork` hooks.
    2. Work: settle and reserve in turns; in between its threads perform (see `TurnLoop`).
    3. Retire: it reserved JOBS_PER_FORK jobs, was ordered to leave (see `Orders`), or found no more
       work in a burst.
    4. Leave: settle the last ends, run the `worker_exit` hooks, unregister.

    The main greenlet runs all of this; it is the only one that uses the cycle's connection.
    """

    def __init__(self, spec: ProcessSpec, totals: Totals, policy: Policy) -> None:
        settings, row = spec.settings, spec.row
        self.signals: list[Any] = []
        self._spec = spec
        self._row = row
        keys, wakeup, batch_size = Keys(settings.namespace), Wakeup(), BatchSize()
        self._meters = Meters(
            keys,
            totals,
            spec.sums,
            enabled=settings.metrics,
            brief=settings.jobs_per_fork <= BRIEF_JOBS,
        )
        self._in_flight = InFlight(totals, keys, self._meters)
        self._shutdown = Shutdown()
        process = process_id(spec.worker_id, os.getpid(), spec.born_ms)
        self._in_flight.tracked.work_as(process, settings.result_max_bytes)
        self._failures = FailureReporter(settings.failure_backend)
        rules = EndRules.of(keys, settings)
        outcome = Outcome(self._in_flight, self._failures, spec.worker_id, rules, row.tallies)
        self._thread_pool = ThreadPool(
            settings.thread_count, self._in_flight, wakeup, registry, outcome, row.threads
        )
        self._thread_pool.hands_over = not policy.takes_suspects
        self._cycle = self._make_cycle(keys, process)
        self._registration = Registration(
            keys, spec, process, self._in_flight, self._cycle.connection
        )
        self._notifier = Notifier(self._cycle, keys, process, settings.interval)
        weight = Weight(self._in_flight, self._thread_pool, batch_size, self._cycle.refused)
        demand = Demand(
            row,
            policy,
            self._in_flight,
            self._thread_pool,
            batch_size,
            weight,
            self._cycle.refused,
            settings.jobs_per_fork,
        )
        self.orders = Orders(
            spec, self._in_flight, self._thread_pool, demand, self._shutdown, wakeup
        )
        self._loop_monitor = LoopMonitor(
            self._thread_pool,
            row,
            MasterWishes(row, self.orders),
            settings.hub_blocked_seconds,
            settings.term_timeout,
        )
        kills = KillCommands(self._thread_pool, self._in_flight, wakeup, outcome)
        self._cycle.starter.on_replaced = kills.replace
        self._cycle.starter.on_locked_out = kills.end_waiting
        self.command_runner = CommandRunner(
            self._thread_pool,
            self._loop_monitor,
            kills,
            ProcessOrders(row, self.orders, get_hub().loop, lambda: self._in_flight.held),
        )
        self._turns = TurnLoop(
            spec,
            keys,
            policy,
            demand,
            self._cycle,
            self._notifier,
            self._in_flight,
            self._thread_pool,
            batch_size,
            weight,
            kills,
            wakeup,
        )
        self._housekeeping = Housekeeping(
            settings,
            row,
            self._in_flight,
            self._thread_pool.running_jobs,
            self._turns.retire_at_once,
            lambda: self._meters.leave_late(self._cycle.settled),
        )
        self._published = PublishedThreads(keys, process, self._thread_pool)
        self._heartbeat = self._make_heartbeat(keys, process)

    def _make_cycle(self, keys: Keys, process: str) -> Cycle:
        spec, settings = self._spec, self._spec.settings
        assert settings.queues is not None
        cycle = Cycle(
            settings.redis_url,
            keys,
            self._in_flight,
            spec.worker_id,
            process,
            settings.queues,
            slots=most_held(settings.thread_count, settings.jobs_per_fork),
            pause=self._shutdown.sleep,
            revive=lambda *last: self._registration.revive(*last),
            running=self._thread_pool.running_jobs,
            threads=settings.worker_count * settings.thread_count,
            weights=settings.weights,
        )
        cycle.lists.tells_of_names = spec.logs_odd_names
        return cycle

    def _make_heartbeat(self, keys: Keys, process: str) -> Heartbeat:
        spec, settings, row = self._spec, self._spec.settings, self._row
        return Heartbeat(
            settings,
            process,
            WorkerRecord(spec.worker_id, spec.started, spec.counted),
            self.command_runner.running,
            self.command_runner.run,
            self._housekeeping.tick,
            self._turns.on_loss,
            vitals=(lambda: vitals_of(row, settings).encode()) if settings.burst else None,
            locks=LockKeeper(keys, self._in_flight),
            waits=self._loop_monitor.watched.encode,
            on_doubt=self._turns.on_doubt,
            threads=self._published,
        )

    def run(self) -> None:
        """Live. Returns when everything is settled; what could not be stands in the ledger.

        Raises BootError when the process cannot start, CutOff when Redis stays away.
        """
        self._boot()
        try:
            self._turns.run()
            self._leave()
        except Fenced:
            log.error(
                "this process was declared dead and its jobs recovered; it starts afresh",
                extra=fields("fenced"),
            )
            end_recovered_jobs(self._thread_pool)
            self._row.enter(ProcessState.STRANDED)
        except CutOff as error:
            held = self._in_flight.held
            log.error(
                "left without settling: %s; what it held stays in its ledger: %s",
                error,
                counted(held, "job"),
                extra=fields("cut_off", held=held),
            )
            raise
        finally:
            self._orphan_watch.finish()

    def _boot(self) -> None:
        spec = self._spec
        self._failures.open()
        retry = BootRetry(spec, lambda: self.orders.ending is not Ending.NONE)
        retry.call(self._register)
        self._orphan_watch = OrphanWatch(spec.life_fd, self._row, self._in_flight, self.orders)
        if process_hooks.has("after_fork"):  # else a process for one job pays for nothing
            with root_free():
                process_hooks.run("after_fork")
        self._loop_monitor.start(self._heartbeat)
        # Run the loop once so that signals received during boot are handled before the first job;
        # an early USR1 would kill it.
        sleep(A_TURN)
        self._row.totals = self._in_flight.totals
        self.orders.come_to_work()
        self._housekeeping.on_ready()
        spec.tell_master()
        log.debug("ready", extra=fields("ready"))

    def _register(self) -> None:
        connection = self._cycle.connection
        # The first processes of a master wait longer for a slow Redis: they do not try again.
        if self._spec.retry_connect:
            connection.connect(FIRST_REPLY_SECONDS)
        else:
            connection.connect(connection.longest_reply_seconds)
            connection.check_primary()
        self._row.enter(ProcessState.REGISTERING)
        try:
            self._registration.register()
        except ResponseError:
            self._row.enter(ProcessState.BOOTING)  # Redis refused: nothing is left there
            raise
        self._row.enter(ProcessState.REGISTERED)

    def _leave(self) -> None:
        self._orphan_watch.runs_hooks = True
        end_user_code(self._failures, self._shutdown)
        self._orphan_watch.runs_hooks = False
        self._loop_monitor.stop()
        unregister(self._cycle, self._turns, self._notifier, self._registration)
        if self._published.was_used:
            self._cycle.ask(lambda: self._published.remove(self._cycle.connection))
        self._meters.leave(self._cycle.settled)
        note_end(self._row, len(self._cycle.refused))
        self._spec.tell_master()
        totals = self._in_flight.totals
        log.debug("left: %s", totals, extra=fields("left", **totals._asdict()))

    def leave_to_child(self, current: Any) -> None:
        """Called in a process that user code forks, in the greenlet that forked: nothing of this
        worker may act there (see `forked_child`)."""
        for watcher in self.signals:
            watcher.cancel()
        self._row.leave_to_child()
        self._thread_pool.leave_to_child(current, self._row.threads)
