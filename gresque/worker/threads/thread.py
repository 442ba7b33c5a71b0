"""A WorkerThread: a greenlet that performs one job after the other."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic
from types import FunctionType
from typing import Any, NamedTuple, NoReturn, cast

import gevent
from gevent import Greenlet, get_hub
from gevent.pool import Pool

from gresque.errors import JobKilled, UnknownJob
from gresque.forked import end_child
from gresque.jobs.definition import JobDefinition
from gresque.jobs.payload import decode, split
from gresque.jobs.registry import Registry
from gresque.processes.scoreboard import GUARDED, SPAWNED
from gresque.processes.stack_dump import FRAME_PREFIX
from gresque.raised import context_of, exception_name, message
from gresque.worker.threads.origin import KEY, Origin
from gresque.worker.threads.outcome import Outcome
from gresque.worker.turns.in_flight import InFlight, ReservedJob
from gresque.worker.turns.wakeup import Wakeup

log = logging.getLogger("gresque.worker")

TURN_SECONDS = 0.005
"""A thread that has run jobs for this long without the loop turning lets it turn: signals, timers
and other jobs' sockets wait for that."""


A_TURN = 1e-6
"""To sleep for this long is to wait for a timer, and so for a whole turn of the loop; after
`sleep(0)` gevent may go on with up to 50 callbacks before it looks at sockets and signals."""

KILL_AGAIN_SECONDS = 0.5


class ThreadPool:
    """The threads of one process, and the rules by which they wake each other.

    A thread that takes a job wakes one other if work remains. So a thousand waiting jobs start in
    one turn of the loop, and a batch of short ones is run through by a single thread.
    """

    def __init__(
        self,
        size: int,
        in_flight: InFlight,
        wakeup: Wakeup,
        registry: Registry,
        outcome: Outcome,
        board: list[int] | memoryview[int],
    ) -> None:
        """`board` has a word for each thread: see `Row.threads`."""
        self.in_flight = in_flight
        self.wakeup = wakeup
        self.registry = registry
        self.outcome = outcome
        self.board = board
        self.words = _Words()
        self.ring_at = 1
        """Ring the gate when so many jobs have ended."""
        self.lingering = False
        """The cycle knows that threads run out of work, and waits a moment for more ends."""
        self.threads: list[WorkerThread] = []
        self.parked: list[WorkerThread] = []
        self.waking = False
        self.on_killed: Callable[[ReservedJob, bool], None] = lambda job, in_failed: None
        """Called when a kill has ended a job; whether that stands among the failed, if it was not
        put back."""
        self._size = size
        # Bounds the threads and holds them; `start` would block above THREAD_COUNT.
        self._pool: Any = Pool(size)
        self.loop: Any = get_hub().loop

    def wake_one(self) -> None:
        """Let one more thread look for work, if there is one that does not."""
        if self.parked:
            self.waking = True
            self.loop.run_callback(self.parked.pop().wake)
        elif len(self.threads) < self._size:
            self.waking = True
            thread = WorkerThread(self, len(self.threads))
            self.threads.append(thread)
            self._pool.start(thread)

    def leave_to_child(self, current: Any, board: list[int] | memoryview[int]) -> None:
        """In a process that a job forked, in the greenlet that did so: when control comes back
        from the job's code, the process ends. A thread checks nothing for that: what it does next
        after a job has become something else."""
        self.board = board
        self.in_flight.ended = _EndOfChild()
        WorkerThread._end_badly = _end_child  # type: ignore[assignment,method-assign]
        WorkerThread._recover_from = _end_child  # type: ignore[assignment,method-assign]
        while current is not None:
            if isinstance(current, WorkerThread):
                current.to_kill = current.deadline = None  # the job's in the parent
            current = current.parent

    def running_jobs(self) -> list[ReservedJob]:
        return [job for thread in list(self.threads) if (job := thread.job) is not None]

    def kill_jobs(self, reason: str, *, requeue: bool = False) -> None:
        """Throw JobKilled into every job that runs now, until they are dead. One that an operator
        has killed already is not put back by a shutdown."""
        for thread in self.threads:
            job = thread.job
            if job is not None and not (requeue and thread.is_meant(job)):
                thread.kill_job(Kill(job, reason, requeue, monotonic()))

    def kill_from_outside(self, thread: WorkerThread, kill: Kill) -> None:
        """Called in another native thread."""
        thread.to_kill = kill  # for the watcher, should the loop not turn
        # Queued now: should the job wait for something of its own that dies first, this goes first.
        self.loop.run_callback_threadsafe(thread.throw_kill, kill)


class _Words(dict[bytes, int]):
    """Slot -> what stands for it on the board. Looked up once per job: `int()` costs twice as
    much."""

    def __missing__(self, slot: bytes) -> int:
        word = self[slot] = int(slot) + 1
        return word


class Kill(NamedTuple):
    """Somebody wants `job` to end, for this reason, since then (monotonic)."""

    job: ReservedJob
    reason: str
    requeue: bool
    """It may go back into its queue: a shutdown, not an operator who meant this job."""
    since: float
    error: type[JobKilled] = JobKilled


class WorkerThread(Greenlet):  # type: ignore[misc]
    """Performs jobs, one at a time.

    1. Takes the next ready job, or parks until there is one.
    2. Performs it; what it raises becomes a failure entry, whatever it is.
    3. Puts it among the ended ones, which the cycle settles; this happens outside the job's own
       frame, so that a kill cannot interrupt it.

    It lives as long as its process: a greenlet per job would cost sixty times as much.
    """

    def __init__(self, pool: ThreadPool, number: int) -> None:
        super().__init__(_named_frame(number), self)
        self._thread_pool = pool
        self._number = number
        self.job: ReservedJob | None = None
        """The job that runs now; what was killed is told by identity."""
        self.since = 0.0
        """When it started, on the monotonic clock."""
        self.deadline: tuple[ReservedJob, float] | None = None
        """Of a job with a timeout, on the monotonic clock; the watcher looks after it."""
        self.passed_deadline: tuple[ReservedJob, float] | None = None
        """The last one that passed, by the watcher, which never changes `deadline`."""
        self.to_kill: Kill | None = None
        self.parked = False
        self._guarded: ReservedJob | None = None
        self._guards = 0
        self.spawned: tuple[Origin, dict[str, Any]] | None = None

    def __repr__(self) -> str:
        """gevent's shows the arguments, and this greenlet is one of its own."""
        return f"<WorkerThread {self._number}>"

    def perform_jobs(self) -> None:
        """What the greenlet does for as long as it lives."""
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
        board, words, number = pool.board, pool.words, self._number
        turned = monotonic()
        pool.waking = False
        while True:
            if not ready:
                # A thread may wait here for hours, and a thousand may: none keeps its last payload.
                job = payload = args = positional = kwargs = definition = None
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
                gevent.sleep(A_TURN)
                turned = monotonic()
                continue
            job = ready.popleft()
            if not ready:
                # Should this job wait now, nobody else would notice that work has run out.
                wakeup.set()
            elif not pool.waking:
                pool.wake_one()
            definition = None
            self.gr_context = None  # what an earlier job set in contextvars is not this one's
            board[number] = words[job[0]]
            self.since = now
            try:
                self.job = job
                payload = decode(job[2])
                definition = find(payload.name)
                if definition is None:
                    raise UnknownJob(pool.registry.explain_unknown(payload.name))
                if definition.timeout_seconds is not None:
                    self.deadline = job, now + definition.timeout_seconds
                args = payload.args
                if payload.expires_at is not None and outcome.drop_expired(
                    job, definition, payload.expires_at
                ):
                    pass
                elif args and type(args[-1]) is dict:
                    positional, kwargs = split(args)
                    definition.perform(*positional, **kwargs)
                else:
                    definition.perform(*(args or ()))
                self.job = None
            except BaseException as error:
                self.job = None
                self._end_badly(job, definition, error)
            else:
                in_flight.done += 1
                in_flight.ended.append(job[0])
                if outcome.verbose:
                    outcome.log_done(job, now)
            if len(in_flight.ended) >= pool.ring_at:
                wakeup.set()
                gevent.sleep(0)
                turned = monotonic()

    def _end_badly(
        self, job: ReservedJob, definition: JobDefinition | None, error: BaseException
    ) -> None:
        outcome = self._thread_pool.outcome
        killed = _kill_within(error)
        kill = self.to_kill
        if kill is not None and kill.job is job:
            self.to_kill = None  # it has landed, and is not meant for the hooks
            if self.spawned is not None and self.spawned[0].job is job:
                self.spawned[0].kill = kill
        if killed is None:
            outcome.fail(job, definition, error, self.since, self._as_job)
        else:
            # There is none when the job raised JobKilled itself.
            requeue = kill is not None and kill.job is job and kill.requeue
            outcome.cut_short(job, definition, killed, self.since, self._as_job, requeue=requeue)
            in_failed = definition is None or not definition.skip_failed_queue
            self._thread_pool.on_killed(job, in_failed)

    def _as_job(self, job: ReservedJob, call: Callable[[], Any]) -> Any:
        """Hooks and the methods of an exception are the job's own code: they are seen and stopped
        as it is, by a kill of their own and by what is left of its time."""
        try:
            self.job = job
            return call()
        finally:
            self.job = None

    @property
    def spawn_tree_locals(self) -> dict[str, Any]:
        """gevent asks for this when the job spawns a greenlet or a thread, which takes it along: by
        it the watcher tells whose they are. A job that spawns nothing pays nothing."""
        job, spawned = self.job, self.spawned
        if job is None:
            return {KEY: None}
        if spawned is None or spawned[0].job is not job:
            origin = Origin(self, job)
            spawned = self.spawned = origin, {KEY: origin}
            self._thread_pool.board[self._number] |= SPAWNED
        return spawned[1]

    def _forget(self) -> None:
        self.gr_context = self.deadline = self.passed_deadline = None
        self.to_kill = self._guarded = self.spawned = None

    def forget_spawned(self) -> None:
        """Keep no job that has ended. Called by the watcher: it costs no job anything."""
        if self.spawned is not None and self.spawned[0].job is not self.job:
            self.spawned = None

    def kill_job(self, kill: Kill) -> None:
        """End `kill.job` if this thread still runs it when the loop gets there; nobody else's.

        Again and again, for a job may swallow one JobKilled. Where the loop does not turn the
        watcher sees to it.
        """
        self.to_kill = kill
        get_hub().loop.run_callback(self.throw_kill, kill)

    def is_meant(self, job: ReservedJob) -> bool:
        """Whether an operator or a timeout wants this very job to end already."""
        kill = self.to_kill
        return kill is not None and kill.job is job and not kill.requeue

    def throw_kill(self, kill: Kill) -> None:
        """In the loop: raise it where the job stands, if that still runs."""
        if self.job is not kill.job:
            if self.to_kill is kill:
                self.to_kill = None
            return
        if self.to_kill is not kill:
            return  # it has landed, or another one came after it
        timer: Any = get_hub().loop.timer(KILL_AGAIN_SECONDS)
        timer.start(self._throw_again, timer, kill)
        if not self.guarded:
            self.throw(kill.error(kill.reason))

    def _throw_again(self, timer: Any, kill: Kill) -> None:
        timer.close()
        self.throw_kill(kill)

    @property
    def guarded(self) -> bool:
        """Whether the job is in an `uninterruptible` section; that of an earlier job, which it
        never left, does not count."""
        return self._guards > 0 and self._guarded is self.job

    def guard(self) -> None:
        """No kill may land until `unguard`; sections nest. Called by the job."""
        if not self.guarded:
            self._guarded, self._guards = self.job, 0
        self._guards += 1
        self._thread_pool.board[self._number] |= GUARDED

    def unguard(self) -> None:
        """Leave a section; from the outermost one a kill that came meanwhile is raised."""
        self._guards -= 1
        if self._guards > 0:
            return
        self._thread_pool.board[self._number] &= ~GUARDED
        self.die_if_told()

    def die_if_told(self) -> None:
        """Raise the kill that is meant for the job that runs now, unless it is guarded. Called in
        this very greenlet."""
        kill = self.to_kill
        if kill is not None and kill.job is self.job and not self.guarded:
            raise kill.error(kill.reason)


def runs_no_job(found: object) -> bool:
    """Whether this is a WorkerThread between two jobs."""
    return isinstance(found, WorkerThread) and found.job is None


class _EndOfChild(list[bytes]):
    """The ended jobs, in a process that a job forked."""

    def append(self, slot: bytes) -> NoReturn:
        end_child()


def _end_child(thread: WorkerThread, *parts: Any) -> NoReturn:
    """In place of what a thread does with an exception, which comes last."""
    end_child(parts[-1])


def _outermost(thread: WorkerThread) -> None:
    thread.perform_jobs()


def _named_frame(number: int) -> Callable[[WorkerThread], None]:
    """`_outermost` under a name of its own: by it `processes.stack_dump` tells threads apart."""
    code = _outermost.__code__
    name = f"{FRAME_PREFIX}{number}"
    return FunctionType(code.replace(co_name=name, co_qualname=name), globals())


def _kill_within(error: BaseException | None) -> JobKilled | None:
    """The kill itself, or the one on whose way out something else was raised, in a `finally`."""
    for _ in range(10):
        if error is None:
            return None
        # Neither asks the exception: its class may have attributes that raise.
        if issubclass(type(error), JobKilled):
            return cast(JobKilled, error)
        error = context_of(error)
    return None
