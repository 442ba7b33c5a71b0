"""The outcome of a job that did not simply succeed: its failure entry, its next attempt, or its way
back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, time
from typing import Any

from gresque.errors import (
    DirtyExit,
    InvalidPayload,
    JobExpired,
    JobKilled,
    JobTimeout,
    PayloadTooLarge,
    RetryLater,
    UnknownJob,
    UnserializableResult,
)
from gresque.failure.entry import encode_entry
from gresque.failure.failure_reporter import FailureReporter
from gresque.failure.kept_item import out_of_entry
from gresque.failure.reporters import Failure
from gresque.jobs import payload
from gresque.jobs.current import CurrentJob, running
from gresque.jobs.definition import JobDefinition
from gresque.jobs.ends import (
    RUNS_AGAIN,
    Attempt,
    End,
    EndedJob,
    Ending,
    EndRules,
    Way,
    effects_of,
    may_be_tried_again,
    may_run_again,
    next_run,
)
from gresque.jobs.meter import Meter
from gresque.jobs.retry_policy import MOST_SNOOZES, Again
from gresque.logs import fields
from gresque.processes.tallies import Tallies, own_tallies
from gresque.raised import Raised, error_text, read_raised, stand_in
from gresque.store.effects import Effect, logged, pushed
from gresque.worker.threads import job_lines
from gresque.worker.threads.end_log import EndLog, class_of, id_of
from gresque.worker.threads.kills import KilledFromRuby, RubyDirtyExit
from gresque.worker.turns.in_flight import InFlight, ReservedJob, Settled

log = logging.getLogger("gresque.job")

AsJob = Callable[..., Any]
"""Called with the job, a function and its arguments: calls code of the job's own after its end, as
its hooks and the `__str__` of its exception."""

LateKill = Callable[[ReservedJob], JobKilled | None]
"""Takes the operator's kill that came before the job is put off, if one did."""


class Outcome:
    """Notes the ends of jobs in `InFlight`. Nothing here may raise: it runs between jobs."""

    def __init__(
        self,
        in_flight: InFlight,
        failures: FailureReporter,
        worker_id: str,
        rules: EndRules,
        tallies: Tallies | None = None,
    ) -> None:
        self._in_flight = in_flight
        self._failures = failures
        self._reports = failures.has_backends
        self._worker_id = worker_id
        self._rules = rules
        self._log = EndLog(tallies or own_tallies())
        self.verbose = self._log.verbose

    def fail(
        self,
        job: ReservedJob,
        definition: JobDefinition | None,
        error: BaseException,
        start: float,
        as_job: AsJob,
        late_kill: LateKill,
    ) -> bool | None:
        """The job raised: it is tried again, or kept as a failure; its hooks are called. When a
        late kill ends it, the result is that of `cut_short`, else None."""
        end = _end_of(error, definition)
        kept = self._keep(job, definition, end, error, error, start, as_job, late_kill)
        if isinstance(kept, bool):
            return None
        return self.cut_short(job, definition, kept, start, as_job, late_kill, requeue=False)

    def cut_short(
        self,
        job: ReservedJob,
        definition: JobDefinition | None,
        killed: JobKilled,
        start: float,
        as_job: AsJob,
        late_kill: LateKill,
        *,
        requeue: bool,
    ) -> bool:
        """The job was killed: by an operator, by its timeout, or by a shutdown (`requeue`), after
        which it may go back. Returns whether it stands among the failed jobs now."""
        end = End.CUT_SHORT if requeue else End.KILLED
        ending = effects_of(self._ended(job), end, definition, self._rules)
        if ending.way is Way.BACK:
            self._in_flight.put_back(job, *ending.effects)
            self._log.put_back(job, start)
            return False
        error: BaseException = killed
        if issubclass(type(killed), JobTimeout):
            end = End.TIMED_OUT
        elif issubclass(type(killed), KilledFromRuby):
            error = RubyDirtyExit("Job was killed")
        else:
            try:
                reason = as_job(job, error_text, killed) or "it raised JobKilled itself"
            except BaseException as broken:  # another kill
                reason = stand_in(killed, broken).text
            error = DirtyExit(f"Job was killed: {reason}")
        kept = self._keep(job, definition, end, error, killed, start, as_job, late_kill)
        if isinstance(kept, bool):
            return kept
        # It ran over its time. After this end none is asked for: no attempt would follow.
        return self.cut_short(job, definition, kept, start, as_job, late_kill, requeue=False)

    def _keep(
        self,
        job: ReservedJob,
        definition: JobDefinition | None,
        end: End,
        error: BaseException,
        raised: BaseException,
        start: float,
        as_job: AsJob,
        late_kill: LateKill,
    ) -> bool | JobKilled:
        """Count the failure and write its entry, or put the job off until its next attempt, whether
        or not the exception or a hook raises. Returns whether it stands among the failed jobs now;
        or a kill that came before it was put off, and then notes nothing: no attempt may follow.

        Its parts come into `InFlight` together: a turn in between must not settle half of it.
        """
        ended, now = self._ended(job), time()
        again: Again | None = None
        runs_again = may_run_again(ended, end, definition, self._rules, error)
        if runs_again or (definition is not None and definition.hooks.after_failure):
            found = self._follow_up(
                ended, job, definition, end, error, now, as_job, late_kill, runs_again=runs_again
            )
            if isinstance(found, JobKilled):
                return found
            again = found
        try:
            read: Raised = as_job(job, read_raised, error, raised)
        except BaseException as broken:  # such a kill
            read = stand_in(error, broken)
        if again is not None and (late := late_kill(job)) is not None:
            return late  # without the error, whose message may never come
        if again is None and issubclass(type(error), RetryLater):
            asked = f"it has asked for that {MOST_SNOOZES:,} times in a row"
            read = read._replace(text=f"{read.text}; {asked}")
        name, text, trace = read
        ending = effects_of(
            ended,
            end,
            definition,
            self._rules,
            lambda way, raw: encode_entry(raw, name, text, trace, self._worker_id, job[1]),
            Attempt(name, text, now, again, trace),
        )
        if again is not None and ending.way in RUNS_AGAIN:
            self._put_off(job, definition, end, ending, read, again, start)
            return False
        return self._fail(job, definition, ending, error, read, start)

    def _follow_up(
        self,
        ended: EndedJob,
        job: ReservedJob,
        definition: JobDefinition | None,
        end: End,
        error: BaseException,
        now: float,
        as_job: AsJob,
        late_kill: LateKill,
        *,
        runs_again: bool,
    ) -> Again | JobKilled | None:
        """Call the hooks of the failure. Returns when the job runs again, if it does; or a kill
        that came before that."""
        again = late = None
        if runs_again:
            again = self._next_run(ended, end, definition, error, now, job, as_job)
            late = None if again is None else late_kill(job)
        if late is None and definition is not None and definition.hooks.after_failure:
            for kind in self._hooks_of(ended, definition, again):
                # A kill that came too late for the hook, or a log handler of the application's.
                with suppress(BaseException):
                    as_job(job, tell_hooks, kind, definition, error, job)
            late = None if again is None else late_kill(job)
        if late is not None:
            late.__context__ = error  # so that the entry shows it
            return late
        return again

    def _put_off(
        self,
        job: ReservedJob,
        definition: JobDefinition | None,
        end: End,
        ending: Ending,
        read: Raised,
        again: Again,
        start: float,
    ) -> None:
        self._in_flight.put_off_job(job, *ending.effects)
        if again.counts:
            meter = self._meter(job, definition)
            meter.note_failure(read.name, monotonic() - start, retried=True)
        if end is End.UNKNOWN:
            self._log.unknown(job, start, read.text, self._rules.unknown_grace_seconds)
        else:
            self._log.put_off(job, start, *read, again)

    def _fail(
        self,
        job: ReservedJob,
        definition: JobDefinition | None,
        ending: Ending,
        error: BaseException,
        read: Raised,
        start: float,
    ) -> bool:
        """Returns whether the job stands among the failed ones now."""
        name, text, trace = read
        kept = ending.is_kept
        lines = job_lines.kept.take(job) if kept else b""
        effects = (*ending.effects, *self._logged(job, lines)) if lines else ending.effects
        self._in_flight.fail(job, *effects)
        self._meter(job, definition).note_failure(name, monotonic() - start, retried=False)
        if self._reports and kept:
            self._failures.report(
                Failure(job[1], self._worker_id, job[2], error, name, text, trace, time())
            )
        self._log.failed(job, start, name, text, trace, kept=kept)
        return kept

    def _logged(self, job: ReservedJob, lines: bytes) -> tuple[Effect, ...]:
        job_id = id_of(job)
        return (logged(self._rules.keys, job_id, lines, int(time() * 1000)),) if job_id else ()

    def _meter(self, job: ReservedJob, definition: JobDefinition | None) -> Meter:
        meters = self._in_flight.meters
        if definition is None:
            return meters.named(class_of(job), job[1])
        meter = definition.meter
        return meter if meter.queue is job[1] else meters.of(definition, job[1])

    def _next_run(
        self,
        ended: EndedJob,
        end: End,
        definition: JobDefinition | None,
        error: BaseException,
        now: float,
        job: ReservedJob,
        as_job: AsJob,
    ) -> Again | None:
        """The back-off may be a function of the job's own. When that is broken the default one
        takes its place: the job is tried again all the same."""
        try:
            return as_job(  # type: ignore[no-any-return]
                job, next_run, ended, end, definition, self._rules, error, now
            )
        except BaseException as broken:
            with suppress(BaseException):  # to print it takes the job's exception, too
                as_job(job, _log_broken, "the backoff", definition, job, broken)
        try:
            return next_run(ended, end, definition, self._rules, error, now, own_delays=False)
        except BaseException:  # a kill, too late for the job
            return None

    def _hooks_of(
        self, ended: EndedJob, definition: JobDefinition, again: Again | None
    ) -> tuple[str, ...]:
        """`on_retry` for a failure that is followed by another attempt. Else `on_failure`; and
        `on_give_up`, when the job might have been tried again."""
        hooks = definition.hooks
        if again is not None:
            return ("on_retry",) if again.counts and hooks.on_retry else ()
        last = ("on_failure",) if hooks.on_failure else ()
        if hooks.on_give_up and may_be_tried_again(ended, definition, self._rules):
            return *last, "on_give_up"
        return last

    def drop_expired(self, job: ReservedJob, definition: JobDefinition, expires_at: object) -> bool:
        """Check a job with an expiry: True when it is to count as done without having
        run. Raises JobExpired when it is to fail; one whose time has not come yet runs."""
        if not isinstance(expires_at, int | float) or (late := time() - expires_at) < 0:
            return False
        ending = effects_of(self._ended(job), End.EXPIRED, definition, self._rules)
        if ending.way is not Way.DONE:
            raise JobExpired(f"it was to start {late:.1f} s before a worker took it up")
        if job[0] in self._in_flight.tracked:
            self._in_flight.settled.append(Settled(job, ending.effects))
        self._log.dropped(job, late)
        self._meter(job, definition).done += 1
        return True

    def put_back_item(self, job: ReservedJob) -> bool:
        """Another program has retried an item that was no job: it goes to the end of its queue as
        it came, as `gresque failed retry` has it, and is judged again there. That ends, as each
        time what stands in the queue is shorter. False when the job holds no item; raises
        InvalidPayload when that cannot be read."""
        item = out_of_entry(job[2])
        if item is None:
            return False
        self._in_flight.put_off_job(job, pushed(self._rules.keys, job[1], item))
        self._log.item_put_back(job, item)
        return True

    def _ended(self, job: ReservedJob) -> EndedJob:
        ended = EndedJob(job[1], job[2])
        if self._in_flight.tracked:
            ended.run = self._in_flight.tracked.details_of(job)
        return ended

    def log_done(self, job: ReservedJob, start: float) -> None:
        self._log.done(job, start)


def _end_of(error: BaseException, definition: JobDefinition | None) -> End:
    kind = type(error)
    if kind is JobExpired and definition is not None and definition.on_expire == "fail":
        return End.EXPIRED
    if definition is None and issubclass(kind, InvalidPayload | PayloadTooLarge):
        return End.UNREADABLE
    if definition is None and kind is UnknownJob:
        return End.UNKNOWN
    if kind is UnserializableResult:
        return End.RESULT_REFUSED
    return End.FAILED


def directly(job: ReservedJob, call: Callable[..., Any], *args: Any) -> Any:
    """Calls what belongs to a job that does not run."""
    with running(CurrentJob(job[1], job[2])):
        return call(*args)


def tell_hooks(
    kind: str, definition: JobDefinition, error: BaseException, job: ReservedJob
) -> None:
    """Call the job's hooks of this kind, such as `on_failure`; their exceptions are logged."""
    try:
        args, kwargs = payload.split(payload.decode(job[2]).args)
        definition.tell(kind, error, args, kwargs)
    except BaseException as broken:  # a kill or a timeout of gevent's, too
        _log_broken(f"an {kind} hook", definition, job, broken)


def _log_broken(
    what: str, definition: JobDefinition | None, job: ReservedJob, broken: BaseException
) -> None:
    # As a tuple: for an exception alone, logging asks it for its `__traceback__`.
    raised = (type(broken), broken, None)
    name = None if definition is None else definition.name
    event = fields("hook_raised", job=name, queue=job[1])
    with suppress(BaseException):  # to print such an exception may raise another one
        log.error("%s of %s raised", what, name, exc_info=raised, extra=event)
