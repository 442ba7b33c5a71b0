"""A worker process: reserves jobs, has its threads perform them, settles their ends."""

from __future__ import annotations

import logging
import os
import time
from typing import Any

from gevent import get_hub, sleep
from redis.exceptions import RedisError

from gresque.errors import BootError, CutOff, Fenced, JobKilled, RedisUnavailable
from gresque.jobs import payload
from gresque.jobs.hooks import process_hooks
from gresque.jobs.registry import registry
from gresque.store.connection import explain
from gresque.store.data_store import iso_8601
from gresque.store.keys import Keys
from gresque.store.ledger import Totals
from gresque.store.scripts import script
from gresque.worker.bell import Bell
from gresque.worker.birth import Birth
from gresque.worker.book import Book
from gresque.worker.cycle import Cycle
from gresque.worker.gate import Gate
from gresque.worker.heartbeat import Heartbeat, RunningJob
from gresque.worker.identity import process_id
from gresque.worker.outcome import Outcome, describe
from gresque.worker.pace import Pace, most_held
from gresque.worker.scoreboard import ProcessState
from gresque.worker.stacks import all_stacks
from gresque.worker.thread import Crew, Kill
from gresque.worker.watcher import Watcher

log = logging.getLogger("gresque.worker")

LINGER_SECONDS = 0.002
"""How long ends are gathered before they are settled, while other jobs still run."""

STUCK_SECONDS = 0.05
"""Jobs held in reserve that no thread took for this long go back, for other processes."""


class Worker:
    """One worker process. Its life:

    1. Boot: connect, register, run the `after_fork` hooks.
    2. Turns: settle and reserve; in between its threads perform.
    3. Retire: having reserved JOBS_PER_FORK jobs, told to leave, or out of work in a burst.
    4. Leave: settle the last ends, run `worker_exit` hooks, unregister.

    The main greenlet runs all of this; it is the only one that uses the cycle's connection.
    """

    def __init__(self, birth: Birth, totals: Totals) -> None:
        settings = birth.settings
        assert settings.queues is not None
        self.signals: list[Any] = []
        self._birth = birth
        self._settings = settings
        self._row = birth.row
        self._process_id = process_id(birth.worker_id, os.getpid(), birth.born_ms)
        self._keys = Keys(settings.namespace)
        self._gate = Gate()
        self._book = Book(totals)
        self._outcome = Outcome(self._book, self._keys, birth.worker_id, settings.on_dirty_exit)
        self._crew = Crew(settings.thread_count, self._book, self._gate, registry, self._outcome)
        self._pace = Pace()
        self._cycle = Cycle(
            settings.redis_url,
            self._keys,
            self._book,
            birth.worker_id,
            self._process_id,
            settings.queues,
            slots=most_held(settings.thread_count),
            pause=self._pause,
        )
        self._bell = Bell(
            self._cycle, self._keys, str(settings.queues), self._process_id, settings.interval
        )
        self._quota = settings.jobs_per_fork
        self._leaving = False
        self._paused = birth.paused
        self._killing_until: float | None = None
        self._dry = False
        self._dry_at_rest = False
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
        except Fenced:
            log.error("this process was declared dead and its jobs recovered; it starts afresh")
            self._row.state = ProcessState.STRANDED
        except CutOff as error:
            log.error("left without settling: %s; %d jobs stay held", error, self._book.held)
            raise
        else:
            self._leave()

    def _boot(self) -> None:
        birth, url = self._birth, self._settings.redis_url
        try:
            connection = self._cycle.connection
            connection.connect()
            self._register()
            self._row.heir = True
            heartbeat = Heartbeat(
                self._settings, self._process_id, birth.worker_id, self._running, self._kill_by_id
            )
            if birth.beats_at_once:
                heartbeat.beat(connection)
        except (RedisError, RedisUnavailable) as error:
            raise BootError(explain(url, error)) from error
        self._watch_master()
        process_hooks.run("after_fork")
        heartbeat.start()
        self._watcher = Watcher(self._crew, self._row, self._settings.hub_blocked_seconds)
        self._watcher.start()
        self._row.totals = self._book.totals
        self._row.state = ProcessState.READY
        birth.tell_master()
        log.debug("ready")

    def _register(self) -> None:
        keys, birth = self._keys, self._birth
        connection = self._cycle.connection
        seconds, microseconds = map(int, connection.call(b"TIME"))
        connection.run(
            script("register"), 5,
            keys.workers, keys.worker_started(birth.worker_id), keys.ledgers,
            keys.ledger(self._process_id), keys.heartbeats,
            birth.worker_id, birth.started, self._process_id, iso_8601(seconds),
            seconds * 1000 + microseconds // 1000, " ".join(map(str, self._book.totals)),
        )  # fmt: skip

    def _leave(self) -> None:
        process_hooks.run("worker_exit")
        self._watcher.stop()
        keys = self._keys
        try:
            self._bell.stand_down()
            self._cycle.connection.run(
                script("unregister"), 4,
                keys.ledgers, keys.ledger(self._process_id), keys.running(self._process_id),
                keys.kills(self._process_id), self._process_id,
            )  # fmt: skip
        except (RedisError, OSError) as error:
            raise CutOff(explain(self._settings.redis_url, error)) from error
        log.debug("left: %s", self._book.totals)

    # Turns

    def _work(self) -> None:
        book, crew = self._book, self._crew
        while not self._finished():
            if self._leaving or self._paused:
                book.give_back_ready()
            want = self._want()
            if want or book.ended:
                reserved = self._turn(want)
                if reserved:
                    if not crew.waking:
                        crew.wake_one()
                    self._bell.found(more=reserved == want)
                elif want:
                    if self._bell.found_nothing():
                        continue
                    self._dry, self._dry_at_rest = True, not book.held
                    continue
            self._wait_until_due()

    def _finished(self) -> bool:
        if self._book.held:
            return False
        if self._leaving or not self._quota:
            return True
        if self._burst_is_dry:
            if self._dry_at_rest:
                self._row.state = ProcessState.DRY
                return True
            self._dry = False  # a job that ended since may have enqueued another: look once more
        return False

    @property
    def _burst_is_dry(self) -> bool:
        return self._dry and self._settings.burst

    def _want(self) -> int:
        """How many jobs this process could start now."""
        if self._leaving or self._paused or self._dry or self._book.gives:
            return 0  # what is given back in a turn must not be taken again by the same one
        book = self._book
        capacity = self._pace.capacity(self._settings.thread_count)
        room = capacity - book.held + len(book.ended)
        return max(0, min(room, self._quota, self._pace.limit))

    def _turn(self, want: int) -> int:
        book, ended = self._book, len(self._book.ended)
        started = book.reserved - len(book.ready)
        reserved = self._cycle.turn(want, arm=self._bell.armed)
        self._quota -= reserved
        self._row.totals = book.totals
        cpu, clock = time.thread_time(), time.monotonic()
        self._pace.note(cpu - self._cpu, clock - self._clock, started - self._started, ended)
        self._cpu, self._clock, self._started = cpu, clock, started
        if not self._quota and reserved:
            self._retire()
        return reserved

    def _retire(self) -> None:
        """All this process may reserve is reserved: its successor can start."""
        if self._row.state is ProcessState.READY:
            self._row.state = ProcessState.RETIRING
            self._birth.tell_master()

    def _wait_until_due(self) -> None:
        """Wait until another turn is worth a trip to Redis (see `_due`)."""
        book, crew = self._book, self._crew
        crew.ring_at = self._enough_ended()
        lingered = False
        while not self._due(lingered):
            if self._dry and not book.ended:
                if self._wait_for_bell():
                    self._dry = False
            elif book.ready:
                ended = len(book.ended)
                if not self._gate.wait(STUCK_SECONDS) and len(book.ended) == ended:
                    self._give_back_if_stuck()
            elif not lingered and (book.ended or self._want()):
                crew.lingering = True
                crew.ring_at = max(1, min(book.held, self._settings.thread_count // 8))
                self._gate.wait(LINGER_SECONDS)
                crew.lingering = False
                lingered = True
            else:
                self._gate.wait(None)

    def _due(self, lingered: bool) -> bool:
        """Whether a turn is worth it now: enough has ended, or threads lack work, or it is over.

        Less than enough is worth it after 2 ms of lingering for more.
        """
        book = self._book
        ended = len(book.ended)
        if book.ready and (self._leaving or self._paused):
            return True
        if not book.held and (self._leaving or not self._quota or self._burst_is_dry):
            return True
        if ended and (ended >= self._crew.ring_at or lingered or not book.running):
            return not book.ready or ended >= self._crew.ring_at
        if book.ready:
            return False
        want = self._want()
        worthwhile = -(-self._settings.thread_count // 8)
        return want >= min(worthwhile, self._pace.limit, max(1, self._quota)) or (
            lingered and want > 0
        )

    def _enough_ended(self) -> int:
        """So many ends make a turn worth it while jobs are ready still: half of what is held when
        some are held in reserve, else all."""
        threads = self._settings.thread_count
        capacity = self._pace.capacity(threads)
        return capacity // 2 if capacity > threads else max(1, self._book.held)

    def _give_back_if_stuck(self) -> None:
        """Every thread is busy with something long: what waits here, others could start now."""
        if self._book.running >= self._settings.thread_count:
            self._book.give_back_ready()

    def _wait_for_bell(self) -> bool:
        """Wait for work with the queues found empty; True when it is time to look again."""
        connection = self._cycle.connection
        try:
            if self._leaving or self._paused:
                self._bell.stand_down()
            if self._cycle.heard():
                return True
            watcher = get_hub().loop.io(connection.fileno(), 1)
            watcher.start(self._gate.ring)
            try:
                rung = self._gate.wait(self._settings.interval or None)
            finally:
                watcher.stop()
                watcher.close()
            if not rung:
                self._cycle.forget_queues()
            return not rung or self._cycle.heard()
        except (RedisError, OSError):
            self._cycle.connection.close()
            return True  # the turn that follows connects anew

    # Signals, the master, the heartbeat

    def quit(self) -> None:
        """Take no new jobs; leave when the running ones have ended."""
        if not self._leaving:
            self._leaving = True
            self._row.state = ProcessState.DRAINING
            self._book.give_back_ready()
        self._gate.ring()

    def terminate(self) -> None:
        """Leave now: the running jobs are killed and go where they want to go."""
        self.quit()
        if self._killing_until is None:
            # A little before the master's SIGKILL, to say what is left behind.
            self._killing_until = time.monotonic() + max(self._settings.term_timeout - 1, 0)
            self._crew.kill_jobs("shutdown", requeue=True)

    def kill_jobs(self) -> None:
        """End the running jobs, which fail: an operator means them. Go on with others."""
        self._crew.kill_jobs("an operator sent USR1", requeue=False)
        self.resume()

    def _kill_by_id(self, job_id: str) -> None:
        """Called in the heartbeat's thread: the loop may be blocked by that very job."""
        reason = "an operator killed it by its id"
        self._crew.loop.run_callback_threadsafe(self._fail_ready, job_id, reason)
        for thread in list(self._crew.threads):
            job = thread.job
            if job is not None and str(payload.loads(job[2]).get("id")) == job_id:
                log.info("asked to kill %s", describe(job))
                kill = Kill(job, reason, False, time.monotonic())
                self._crew.kill_from_outside(thread, kill)

    def _fail_ready(self, job_id: str, reason: str) -> None:
        """A job that is to be killed and has not started yet never does."""
        for job in list(self._book.ready):
            if str(payload.loads(job[2]).get("id")) == job_id:
                self._book.ready.remove(job)
                killed = JobKilled(reason)
                self._outcome.cut_short(job, None, killed, time.monotonic(), requeue=False)
                self._gate.ring()

    def log_stacks(self) -> None:
        """Print where every running job stands."""
        log.info("where the jobs stand:\n%s", all_stacks(self._crew))

    def pause(self) -> None:
        """Take no new jobs until `resume`; what runs goes on."""
        self._paused = True
        self._gate.ring()

    def resume(self) -> None:
        self._paused = self._dry = False
        self._gate.ring()

    def _watch_master(self) -> None:
        """A worker process without a master drains and exits: nothing is left to replace it."""
        self._life: Any = get_hub().loop.io(self._birth.life_fd, 1)
        self._life.start(self._on_master_death)

    def _on_master_death(self) -> None:
        self._life.stop()
        log.warning("the master is gone; finishing the running jobs")
        self.quit()

    def _running(self) -> list[RunningJob]:
        return [
            (job[0], thread.since)
            for thread in list(self._crew.threads)
            if (job := thread.job) is not None
        ]

    def _pause(self, seconds: float) -> bool:
        """Wait out an outage; False when a shutdown has no more time."""
        sleep(seconds)
        until = self._killing_until
        return until is None or time.monotonic() < until
