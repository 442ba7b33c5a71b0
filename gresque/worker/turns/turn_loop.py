"""The work of a worker process, turn by turn, from its first turn until it holds nothing more."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from gevent import get_hub
from redis.exceptions import RedisError

from gresque.processes.spec import ProcessSpec
from gresque.processes.state import ProcessState
from gresque.store.keys import Keys
from gresque.worker.native.answers import give_answer
from gresque.worker.policies import Policy
from gresque.worker.threads.kill_commands import KillCommands
from gresque.worker.threads.pool import ThreadPool
from gresque.worker.turns.batch_size import RESERVE_SECONDS, BatchSize
from gresque.worker.turns.cycle import Cycle
from gresque.worker.turns.demand import Demand
from gresque.worker.turns.due import (
    LINGER_SECONDS,
    Situation,
    Wait,
    due,
    enough_ended,
    enough_while_lingering,
    linger_seconds,
    next_wait,
    worthwhile,
)
from gresque.worker.turns.in_flight import InFlight
from gresque.worker.turns.note_timer import NoteTimer
from gresque.worker.turns.notifier import SECOND_SECONDS, Notifier
from gresque.worker.turns.retry_timer import RetryTimer
from gresque.worker.turns.wakeup import Wakeup
from gresque.worker.turns.weight import Weight

STUCK_SECONDS = 0.05
"""What the threads have not used up of the reserve by then goes back, for other processes."""


class TurnLoop:
    """Settles and reserves in turns; in between the threads perform.

    1. It makes a turn whenever one is due (see `due`), and wakes a thread for what it brought.
    2. Its queues empty, it waits for a push (see `Notifier`), or leaves, as the policy says.
    3. Its quota used, it retires: the master may fork its successor. It ends when it holds nothing.

    The main greenlet runs it; the heartbeat's thread and the signals change what it finds.
    """

    def __init__(
        self,
        spec: ProcessSpec,
        keys: Keys,
        policy: Policy,
        demand: Demand,
        cycle: Cycle,
        notifier: Notifier,
        in_flight: InFlight,
        pool: ThreadPool,
        batch_size: BatchSize,
        weight: Weight,
        kills: KillCommands,
        wakeup: Wakeup,
    ) -> None:
        self._row = spec.row
        self._tell_master = spec.tell_master
        self._threads = spec.settings.thread_count
        self._keys = keys
        self._policy = policy
        self._demand = demand
        self._cycle = cycle
        self._refused = cycle.refused
        self._notifier = notifier
        self._in_flight = in_flight
        self._thread_pool = pool
        self._batch_size = batch_size
        self._weight = weight
        self._kills = kills
        self._wakeup = wakeup
        self._retry = RetryTimer(wakeup)
        self._notes = NoteTimer(in_flight.tracked, wakeup)
        self._is_lost = self._is_doubtful = False
        self._paused: set[str] = set()
        """Queues that were paused when the last turn looked for jobs."""
        self._worthwhile = self._enough = 1
        if policy.check_seconds is not None:
            self._check_timer: Any = get_hub().loop.timer(
                policy.check_seconds, policy.check_seconds
            )
            self._check_timer.start(self._check_policy)
        self._started = in_flight.reserved
        self._cpu = time.thread_time()
        self._clock = time.monotonic()

    def run(self) -> None:
        """Work until the process is to leave and holds nothing. Raises Fenced, CutOff."""
        in_flight, pool, demand = self._in_flight, self._thread_pool, self._demand
        rested = self._row.state is ProcessState.STANDING_BY
        while not demand.is_finished():
            if self._row.state.gives_back:
                in_flight.give_back_ready()
            if in_flight.starting:
                self._start()
            if in_flight.counted and demand.is_dry and self._has_made_room():
                demand.is_dry = False
            want = demand.jobs()
            if want or in_flight.ended or self._is_urgent:
                if rested:
                    rested = False
                    self._cycle.refresh()
                reserved = self.turn(want)
                if reserved:
                    if not pool.waking:
                        pool.wake_one()
                    if self._policy.listens:
                        self._on_jobs(more=reserved == want)
                elif want:
                    if not (self._policy.listens and self._notifier.on_dry()):
                        self._note_dry()
                    continue
            self._wait_until_due()
        if demand.leaves_dry:
            self._policy.on_dry(self._cycle)
        self._row.enter(ProcessState.RETIRING if not demand.quota else ProcessState.DRY)
        self._settle_refused()

    def _on_jobs(self, *, more: bool) -> None:
        if self._cycle.blocked is None or not self._cycle.is_exhausted:
            self._notifier.on_jobs(more=more)
        else:
            self._notifier.on_last_jobs()
            self._note_dry()

    def _note_dry(self) -> None:
        """A burst waits for jobs that limits hold up, and leaves the jobs of paused queues
        behind."""
        waits = self._policy.leaves_when_dry and self._cycle.has_limited_jobs()
        self._demand.note_dry(waits=waits)

    def _has_made_room(self) -> bool:
        """A counted job has ended, so its queue is not full any more."""
        in_flight = self._in_flight
        return self._cycle.blocked is not None and not in_flight.counted.keys().isdisjoint(
            in_flight.ended
        )

    def turn(self, want: int) -> int:
        """One turn; returns how many jobs it reserved."""
        in_flight, ended = self._in_flight, len(self._in_flight.ended)
        started = in_flight.reserved - len(in_flight.ready)
        self._is_lost = False
        retry = self._retry.take()
        want = self._policy.prepare(self._cycle, in_flight, want)
        sent_cpu, sent = time.thread_time(), time.monotonic()
        reserved = self._cycle.turn(want, listen=self._notifier.listening, retry=retry)
        if self._row.state.gives_back:
            # A signal came while the turn was on its way. A job that started now would be missed by
            # the kill of a shutdown, which takes those that run, and the process would never leave.
            in_flight.give_back_ready()
        self._cycle.forget_suspects()
        if self._refused:
            self._go_on_with_refused()
        self._demand.note_reserved(reserved)
        self._row.totals = in_flight.totals
        if self._kills:
            self._answer_kills()
        cpu, clock = time.thread_time(), time.monotonic()
        self._batch_size.note_turn(cpu - sent_cpu, clock - sent)
        self._batch_size.note(cpu - self._cpu, clock - self._clock, started - self._started, ended)
        self._cpu, self._clock, self._started = cpu, clock, started
        self._weight.note(self._cycle.connection.reply_bytes)
        if not self._demand.quota and reserved and not self._refused:
            self._retire()
        self._policy.on_turn(self._cycle, in_flight, want, reserved)
        if want and (self._paused or self._cycle.blocked is not None):
            self._give_back_paused()
        return reserved

    def _give_back_paused(self) -> None:
        """What is held in reserve of a queue that has been paused. A turn reserves none of it, so
        it is looked for once."""
        blocked = self._cycle.blocked
        paused = blocked.paused if blocked is not None else set()
        if not paused <= self._paused:
            self._in_flight.give_back_of(paused)
        self._paused = paused

    def _start(self) -> None:
        """Start the unique jobs that wait for their start (see `Starter`)."""
        while not self._cycle.starter.start():
            self.turn(0)
        if self._row.state.gives_back:
            self._in_flight.give_back_ready()
        if self._kills:
            self._kills.kill_ready()
        if self._in_flight.ready and not self._thread_pool.waking:
            self._thread_pool.wake_one()

    def _go_on_with_refused(self) -> None:
        self._retry.start()
        if self._demand.go_on_with_refused() and self._row.state is ProcessState.RETIRING:
            self._row.enter(ProcessState.PAUSED if self._row.paused else ProcessState.READY)

    def _settle_refused(self) -> None:
        """The last try before this process leaves."""
        if self._refused:
            self._retry.make_due()
            self.turn(0)
        self._retry.close()
        self._notes.close()

    def _answer_kills(self) -> None:
        """Say what became of the jobs that were to be killed, now that they are settled."""
        connection = self._cycle.connection
        for token, answer in self._kills.pop_answers(self._refused.slots):
            self._cycle.ask(partial(give_answer, connection, self._keys, token, answer))

    def _retire(self) -> None:
        """This process reserved all it may: its successor can start."""
        if self._row.enter(ProcessState.RETIRING):
            self._tell_master()

    # From other threads

    def retire_at_once(self) -> None:
        """Called in the heartbeat's thread: the successor starts also while the loop is blocked."""
        self._retire()
        self._thread_pool.loop.run_callback_threadsafe(self._reserve_no_more)

    def _reserve_no_more(self) -> None:
        self._demand.end(for_good=True)
        self._retire()
        self._wakeup.set()

    def on_loss(self) -> None:
        """Called in the heartbeat's thread: this process has no ledger any more. A turn raises
        Fenced then; else its jobs would run on, though other processes have them."""
        self._is_lost = True
        self._thread_pool.loop.run_callback_threadsafe(self._wakeup.set)

    def on_doubt(self) -> None:
        """Called in the heartbeat's thread: it had to connect again, so the connection of the turns
        may lead nowhere, too, or to a server that has no queues of ours any more. An idle process
        looks for jobs."""
        self._is_doubtful = True
        self._thread_pool.loop.run_callback_threadsafe(self._wakeup.set)

    # Waiting

    @property
    def _is_urgent(self) -> bool:
        # Jobs that go back leave before a job here may kill the process.
        in_flight = self._in_flight
        jobs = in_flight.returning or len(in_flight.starting)
        has_notes = bool(in_flight.tracked) and in_flight.tracked.is_due
        return self._is_lost or self._retry.is_due or jobs > 0 or has_notes

    def _wait_until_due(self) -> None:
        """Wait until another turn is worth a trip to Redis (see `due`)."""
        in_flight, pool, want = self._in_flight, self._thread_pool, self._demand.jobs
        pace = self._batch_size.pace()
        self._worthwhile = worthwhile(self._threads, pace.reserve)
        self._enough = enough_ended(self._situation(), pace, heavy=self._weight.heavy)
        if in_flight.counted and self._demand.is_dry and self._cycle.blocked is not None:
            self._enough = 1  # each end makes room for the next job of a full queue
        lingered = False
        while not due(now := self._situation(), want, lingered=lingered):
            pool.wake_at = self._enough
            match next_wait(now, want, lingered=lingered):
                case Wait.PUSH:
                    if self._wait_for_push():
                        self._demand.is_dry = False
                        if not in_flight.held:
                            return
                        if not want():
                            self._notifier.on_no_room()
                case Wait.THREADS:
                    if not self._wakeup.wait(STUCK_SECONDS):
                        self._give_back_what_is_stuck(len(in_flight.ended) - now.ended)
                case Wait.MORE_ENDS:
                    pool.lingering = True
                    pool.wake_at = self._enough = enough_while_lingering(now)
                    self._linger(linger_seconds(now, pace))
                    pool.lingering = False
                    lingered = True
                case Wait.ANYTHING:
                    self._wakeup.wait(None)

    def _situation(self) -> Situation:
        in_flight, demand = self._in_flight, self._demand
        return Situation(
            in_flight.held,
            len(in_flight.ended),
            len(in_flight.ready),
            self._worthwhile,
            self._enough,
            min(self._batch_size.limit, max(1, demand.quota)),
            self._row.state.gives_back,
            demand.is_over,
            self._is_urgent,
            demand.is_dry,
        )

    def _give_back_what_is_stuck(self, ended: int) -> None:
        """In 50 ms so few jobs ended that the reserve has not been used up. Where every thread is
        busy, others could start now what waits here for longer than 5 ms."""
        if self._in_flight.running >= self._threads:
            self._in_flight.give_back_ready(keep=int(ended * RESERVE_SECONDS / STUCK_SECONDS))

    def _wait_for_push(self) -> bool:
        """Wait for work with the queues found empty; True when it is time to look again."""
        if not self._policy.listens:
            self._wakeup.wait(None)  # for a job's end, or the next check
            return False
        connection = self._cycle.connection
        try:
            if self._row.state.gives_back:
                self._notifier.stand_down()
            elif self._notifier.is_to_listen:
                # Where jobs are short the first of them ends before this process has to listen.
                if self._in_flight.held and self._wakeup.wait(LINGER_SECONDS):
                    return False
                return self._notifier.on_dry()
            if self._cycle.heard():
                return True
            if not self._wait_and_hear(self._longest_wait()):
                self._on_poll()
                return True
            if self._is_doubtful:
                self._is_doubtful = False
                return True
            if not (self._cycle.heard() and self._notifier.on_announcement()):
                return False
            if self._notifier.is_second:
                self._wakeup.wait(SECOND_SECONDS)
            return True
        except (RedisError, OSError):
            connection.close()
            return True  # the next turn connects again

    def _linger(self, seconds: float) -> None:
        """Gather ends. With the queues found empty a push must not wait for that."""
        listens = self._policy.listens and not self._row.state.gives_back
        if seconds <= LINGER_SECONDS or not self._demand.is_dry or not listens:
            self._wakeup.wait(seconds)
            return
        try:
            self._wait_and_hear(seconds)
            if self._cycle.heard() and self._notifier.on_announcement():
                self._demand.is_dry = False
        except (RedisError, OSError):
            self._cycle.connection.close()  # the next turn connects again

    def _wait_and_hear(self, seconds: float | None) -> bool:
        """Wait for a wakeup, or for something to arrive on the connection; False when neither
        came in time. Raises OSError, RedisError."""
        watcher = get_hub().loop.io(self._cycle.connection.fileno(), 1)
        watcher.start(self._wakeup.set)
        try:
            return self._wakeup.wait(seconds)
        finally:
            watcher.stop()
            watcher.close()

    def _longest_wait(self) -> float | None:
        look_at, poll_seconds = self._notifier.look_at, self._notifier.poll_seconds
        if look_at is None:
            return poll_seconds or None
        left = max(look_at - time.monotonic(), 0.0)
        return min(left, poll_seconds) if poll_seconds else left

    def _on_poll(self) -> None:
        look_at = self._notifier.look_at
        if look_at is not None and time.monotonic() >= look_at:
            self._notifier.on_rate()
        else:
            self._cycle.forget_queues()

    def _check_policy(self) -> None:
        """There may be jobs again that the policy takes, or none that it takes any more."""
        self._cycle.forget_queues()
        self._cycle.connection.invalidated.clear()
        if self._policy.is_over(self._in_flight, self._thread_pool, dry=self._demand.is_dry):
            self._demand.end(for_good=False)
            self._retire()
        self._demand.is_dry = False
        self._wakeup.set()
