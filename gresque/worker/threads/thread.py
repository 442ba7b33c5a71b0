"""A WorkerThread: a greenlet that performs one job after the other."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from functools import partial
from time import monotonic, time
from typing import TYPE_CHECKING, Any

import gevent
from gevent import get_hub
from gevent._hub_local import get_hub_if_exists
from msgspec import UNSET

from gresque.errors import DontPerform, JobKilled
from gresque.jobs.definition import JobDefinition
from gresque.jobs.envelope import UNREADABLE
from gresque.jobs.meter import Meter
from gresque.jobs.payload import INVALID, MAX_PAYLOAD_BYTES, decode, read_call, split
from gresque.jobs.result import PLAIN, check_result
from gresque.jobs.tracking import checked_progress
from gresque.logs import fields
from gresque.processes.scoreboard import SPAWNED
from gresque.raised import exception_name, message
from gresque.store.metric_fields import SHORT_SECONDS
from gresque.worker.threads import job_lines
from gresque.worker.threads.kills import Kill, Killable, kill_within
from gresque.worker.threads.numbered import call_numbered
from gresque.worker.threads.origin import KEY, Origin
from gresque.worker.turns.in_flight import ReservedJob

if TYPE_CHECKING:
    from gresque.worker.threads.pool import ThreadPool

log = logging.getLogger("gresque.worker")

TURN_SECONDS = 0.005
"""A thread that has run jobs for this long without the loop turning lets it turn: signals, timers
and other jobs' sockets wait for that."""

NEVER = sys.maxsize

A_TURN = 1e-6
"""To sleep for this long is to wait for a timer, and so for a whole turn of the loop; after
`sleep(0)` gevent may go on with up to 50 callbacks before it looks at sockets and signals."""


class WorkerThread(Killable):
    """Performs jobs, one at a time.

    1. Takes the next ready job, or parks until there is one.
    2. Performs it; any exception becomes a failure entry.
    3. Puts it among the ended ones, which the cycle settles; this happens outside the job's own
       frame, so that a kill cannot interrupt it.

    It lives as long as its process: a greenlet per job would cost sixty times as much.
    """

    __slots__ = (
        "_number",
        "_thread_pool",
        "deadline",
        "known",
        "parked",
        "passed_deadline",
        "since",
        "spawned",
    )

    spawning_stack_limit = 0
    """gevent keeps ten frames of where each greenlet was spawned; of a thread they say nothing."""

    def __init__(self, pool: ThreadPool, number: int) -> None:
        super().__init__()
        self._thread_pool = pool
        self._number = number
        self.since = 0.0
        """When it started, on the monotonic clock."""
        self.deadline: tuple[ReservedJob, float] | None = None
        """Of a job with a timeout, on the monotonic clock; the loop monitor checks it."""
        self.passed_deadline: tuple[ReservedJob, float] | None = None
        """The last one that passed, by the loop monitor, which never changes `deadline`."""
        self.parked = False
        self.spawned: tuple[Origin, dict[str, Any]] | None = None
        self.known: Origin | None = None
        """The job for which something has asked; made then."""

    def __repr__(self) -> str:
        """gevent's shows the arguments, and this greenlet is one of its own."""
        return f"<WorkerThread {self._number}>"

    def _run(self) -> None:
        """Called by gevent, in this greenlet."""
        call_numbered(self._number, self.perform_jobs)

    def perform_jobs(self) -> None:
        """The life of the greenlet: one job after the other."""
        while True:
            try:
                self._work()
            except BaseException as error:
                # A kill that landed in the lines around the job's own frame, or a gevent.Timeout
                # that an earlier job started and left behind.
                self._recover_from(error)

    def _recover_from(self, error: BaseException) -> None:
        pool = self._thread_pool
        if self.parked:
            self.parked = False
            if self in pool.parked:
                pool.parked.remove(self)
            else:
                pool.waking = False
        if self.job is None:
            log.warning(
                "something that a job left behind raised %s: %s",
                exception_name(error),
                message(error),
                extra=fields("left_behind_raised"),
            )
        else:
            job, self.job = self.job, None
            self._end_badly(job, None, error)

    def wake(self) -> None:
        """Called in the hub. It may have left its park meanwhile, through an exception."""
        if self.parked:
            self.switch()

    def _work(self) -> None:
        pool = self._thread_pool
        in_flight, wakeup, outcome = pool.in_flight, pool.wakeup, pool.outcome
        find, ready, hub = pool.registry.find, pool.in_flight.ready, get_hub()
        words, number, word_of, unset = pool.words, self._number, pool.word_of, UNSET
        loop, turned = pool.loop, monotonic()
        meter_of, tracked = in_flight.meters.of, in_flight.tracked
        meter: Meter | None = None
        pool.waking = False
        while True:
            if not ready:
                if meter is not None and (seconds := monotonic() - self.since) > SHORT_SECONDS:
                    meter.note_time(seconds)
                meter = None
                # A thread may wait here for hours, and a thousand may: none keeps its last payload.
                job = call = args = positional = kwargs = definition = None
                self._forget()
                self.parked = True
                pool.parked.append(self)
                if not pool.lingering:
                    wakeup.set()
                hub.switch()
                self.parked = pool.waking = False
                turned = monotonic()
                continue
            now = monotonic()
            if now - turned > TURN_SECONDS:
                # The time of a shorter job is not looked at: it costs no job anything.
                if meter is not None and now - self.since > SHORT_SECONDS:
                    meter.note_time(now - self.since)
                meter = None
                # A job that waited has let it turn. The loop goes by the clock of the day: where
                # that was set back meanwhile, the turn must not seem to lie ahead.
                turned = now - abs(time() - loop.now())
                if now - turned > TURN_SECONDS:
                    gevent.sleep(A_TURN)
                    turned = monotonic()
                    continue
            job = ready.popleft()
            if not ready:
                # If this job waits now, no other thread notices that work has run out.
                wakeup.set()
            elif not pool.waking:
                pool.wake_one()
            definition = None
            # What an earlier job set in contextvars is not this one's.
            self.gr_context = None  # type: ignore[misc]  # it is greenlet's
            words[number] = word_of[job[0]]
            self.since = now
            try:
                self.job = job
                try:
                    read = read_call if len(job[2]) <= MAX_PAYLOAD_BYTES else decode
                    call = read(job[2])
                except UNREADABLE:
                    call = decode(job[2])  # it says what is wrong
                if call.gresque is not unset and pool.steps_aside(job, call.name):
                    self.job = None
                    wakeup.set()
                    continue
                definition = find(call.name)
                if definition is None:
                    if call.name == INVALID and outcome.put_back_item(job):
                        self.job = meter = None
                        wakeup.set()
                        continue
                    definition = pool.registry.get_wrapped(call.name, call.args)
                if definition.timeout_seconds is not None:
                    self.deadline = job, now + definition.timeout_seconds
                args = call.args
                try:
                    if call.expires_at is not None and outcome.drop_expired(
                        job, definition, call.expires_at
                    ):
                        result = definition = None  # it did not run, and is not logged as done
                    elif not args:
                        result = definition.call()
                    elif type(args[-1]) is dict:
                        positional, kwargs = split(args)
                        result = definition.call(*positional, **kwargs)
                    elif len(args) == 1:
                        result = definition.call(args[0])  # needs less of C's stack than `*args`
                    else:
                        result = definition.call(*args)
                    if result is not None:
                        if type(result) not in PLAIN:
                            check_result(f"job {call.name}", result)
                        if tracked:
                            tracked.keep_result(job, call.name, result)
                        result = None
                except DontPerform:
                    pass
                self.job = None
            except BaseException as error:
                self.job = meter = None
                self._end_badly(job, definition, error)
            else:
                in_flight.done += 1
                in_flight.ended.append(job[0])
                if definition is None:
                    meter = None
                else:
                    meter = definition.meter
                    if meter.queue is not job[1]:
                        meter = meter_of(definition, job[1])
                    meter.done += 1
                    if outcome.verbose:
                        outcome.log_done(job, now)
            if len(in_flight.ended) >= pool.wake_at:
                if meter is not None and (seconds := monotonic() - self.since) > SHORT_SECONDS:
                    meter.note_time(seconds)
                meter = None
                pool.wake_at = NEVER  # until the main greenlet waits again
                wakeup.set()
                gevent.sleep(0)
                turned = monotonic()

    def _end_badly(
        self, job: ReservedJob, definition: JobDefinition | None, error: BaseException
    ) -> None:
        outcome = self._thread_pool.outcome
        killed = kill_within(error)
        kill = self.to_kill
        # There is none when the job raised JobKilled itself.
        kill = self._landed(kill) if kill is not None and kill.job is job else None
        as_job, late_kill = self._as_job, partial(self._late_kill, kill)
        if killed is None:
            in_failed = outcome.fail(job, definition, error, self.since, as_job, late_kill)
        else:
            requeue = kill is not None and kill.requeue
            in_failed = outcome.cut_short(
                job, definition, killed, self.since, as_job, late_kill, requeue=requeue
            )
        if in_failed is not None:
            self._thread_pool.on_killed(job, in_failed)

    def _landed(self, kill: Kill) -> Kill:
        """It is not meant for the hooks that follow."""
        self.to_kill = None
        if self.spawned is not None and self.spawned[0].job is kill.job:
            self.spawned[0].kill = kill
        return kill

    def _late_kill(self, earlier: Kill | None, job: ReservedJob) -> JobKilled | None:
        """An operator's kill that has not ended the job: it came after the end, or the job
        swallowed the `earlier` one."""
        kill = self.to_kill
        if kill is not None and kill.job is job and kill.by_operator:
            earlier = self._landed(kill)
        if earlier is None or not earlier.by_operator:
            return None
        return earlier.error(earlier.reason)

    def _as_job(self, job: ReservedJob, call: Callable[..., Any], *args: Any) -> Any:
        """Hooks and the methods of an exception are the job's own code: they are seen and stopped
        as it is, by a kill of their own and by what is left of its time."""
        try:
            self.job = job
            return call(*args)
        finally:
            self.job = None

    def report(self, done: float, total: float | None, note: str) -> bool:
        """Note the progress of the job; False where it is not tracked, and in a process that it
        has forked. Native threads of the job may call it. Raises ValueError."""
        job, tracked = self.job, self._thread_pool.in_flight.tracked
        if job is None or tracked.details_of(job) is None:
            return False
        loop = self._thread_pool.loop
        hub = get_hub_if_exists()
        if hub is not None and hub.loop is loop:
            return tracked.report(job, done, total, note)
        checked_progress(done, total, note)
        if tracked.is_copy:
            return False
        loop.run_callback_threadsafe(tracked.report, job, done, total, note)
        return True

    @property
    def spawn_tree_locals(self) -> dict[str, Any]:
        """gevent asks for this when the job spawns a greenlet or a thread, which takes it along: by
        it the loop monitor knows whose they are. A job that spawns nothing pays nothing."""
        job, spawned = self.job, self.spawned
        if job is None:
            return {KEY: None}
        if spawned is None or spawned[0].job is not job:
            origin = self._origin_of(job)
            spawned = self.spawned = origin, {KEY: origin}
            self._thread_pool.words[self._number] |= SPAWNED
        return spawned[1]

    @property
    def origin(self) -> Origin | None:
        """The job that runs now, as `current_job()` and all that the job spawns know it: made when
        it is asked for."""
        return None if self.job is None else self._origin_of(self.job)

    def _origin_of(self, job: ReservedJob) -> Origin:
        origin = self.known
        if origin is None or origin.job is not job:
            origin = self.known = Origin(self, job)
        return origin

    def _forget(self) -> None:
        self.gr_context = None  # type: ignore[misc]
        self.deadline = self.passed_deadline = None
        self.to_kill = self._guarded = self.spawned = self.known = None

    def forget_ended(self) -> None:
        """Keep no job that has ended. Called by the loop monitor: it costs no job anything."""
        # What the thread forgets meanwhile is None from one line to the next.
        spawned, known = self.spawned, self.known
        if spawned is not None and spawned[0].job is not self.job:
            self.spawned = None
        if known is not None and known.job is not self.job:
            self.known = None
        job_lines.kept.forget_ended(self)


def runs_no_job(found: object) -> bool:
    """Whether this is a WorkerThread between two jobs."""
    return isinstance(found, WorkerThread) and found.job is None
