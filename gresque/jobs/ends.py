"""The meaning of each end of a job. Pure.

The threads of a worker, give-backs and recovery call `effects_of`. So do commands that take jobs
out by hand, for the locks of these jobs. An end goes by the job's declaration where that is known,
then by the envelope, which says what the declaration said when the job was enqueued, then by the
settings: a process that recovers a job may lack its code, and a payload of another program has no
envelope.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

import msgspec

from gresque.errors import RetryLater
from gresque.jobs import attempts, locks, payload
from gresque.jobs.crash_history import add_death, recoveries
from gresque.jobs.definition import DIRTY_EXITS, JobDefinition
from gresque.jobs.envelope import DIRTY_EXIT, Members, member, members_of
from gresque.jobs.retry_policy import Again, default_backoff, next_attempt, retries_of
from gresque.jobs.tracking import (
    TRACK_IN_BYTES,
    Details,
    KnownJob,
    cut_error,
    known_job,
)
from gresque.jobs.unique import UNIQUE_IN_BYTES, Mark, mark_of
from gresque.settings import DEFAULT_FAILURE_BACKEND, Settings
from gresque.store.effects import (
    PUT_OFF,
    Effect,
    failed,
    noted,
    pushed,
    put_off,
    requeued,
    suspected,
)
from gresque.store.failed_list_name import failed_list_name
from gresque.store.keys import Keys
from gresque.store.later_job import member_for


class End(Enum):
    """How a job left the place where it was."""

    __hash__ = object.__hash__  # Enum's takes a call of Python's

    DONE = auto()
    """It returned, or a hook skipped it."""
    FAILED = auto()
    """It raised."""
    TIMED_OUT = auto()
    """It ran over its time."""
    UNKNOWN = auto()
    """No job of its name is declared here."""
    EXPIRED = auto()
    """No worker took it up in time."""
    KILLED = auto()
    """By an operator; or it raised JobKilled itself."""
    CUT_SHORT = auto()
    """By a shutdown."""
    RESULT_REFUSED = auto()
    """It returned what cannot be kept as its result."""
    UNREADABLE = auto()
    """The item is no job, or its entry in the ledger is none."""
    GIVEN_BACK = auto()
    """It was reserved, and did not start."""
    LOCKED_OUT = auto()
    """It was reserved, and another job has the lock that it needs for its start."""
    DIED = auto()
    """Its process died while it held the job, which may be the reason."""
    DIED_BESIDE = auto()
    """Its process died, and not because of this job."""
    BLAMED = auto()
    """Its process had to be killed because of it."""
    DEQUEUED = auto()
    QUEUE_REMOVED = auto()
    RETRIED = auto()
    """By hand, from its failure entry."""
    ENTRY_REMOVED = auto()
    """The entry of its failure was removed by hand."""


BY_HAND = frozenset({End.DEQUEUED, End.QUEUE_REMOVED, End.RETRIED, End.ENTRY_REMOVED})
TRIED_AGAIN = frozenset({End.FAILED, End.TIMED_OUT, End.UNKNOWN})
"""After these a job may run once more."""
UNKNOWN_SECONDS = 5.0
"""A job whose name no module declares here is put off for this long at a time."""
DIRTY = frozenset({End.CUT_SHORT, End.DIED, End.DIED_BESIDE})
"""The job was cut off in the middle; what becomes of it is its declaration's to say."""


class Way(Enum):
    """Where an end leads, and what it counts as."""

    __hash__ = object.__hash__

    DONE = auto()
    FAILED = auto()
    POISON = auto()
    """A failure: too many processes died under the job."""
    RETRIED = auto()
    """To a further attempt: now, or when its delay is over."""
    SNOOZED = auto()
    """To the same attempt once more, when its delay is over."""
    BACK = auto()
    """To the head of its queue, or to the suspects of that."""
    GONE = auto()
    """The job was not taken by a worker, so it counts as nothing."""


RUNS_AGAIN = frozenset({Way.RETRIED, Way.SNOOZED})


@dataclass(frozen=True)
class EndRules:
    """The settings of a worker about ends, and the keys that effects name."""

    keys: Keys
    on_dirty_exit: str = "requeue"
    max_recoveries: int = 0
    failure_backend: str = DEFAULT_FAILURE_BACKEND
    retries: int = 0
    """Of jobs that say nothing."""
    unknown_grace_seconds: float = 0.0
    """How long a job waits for its code."""

    @classmethod
    def of(cls, keys: Keys, settings: Settings) -> EndRules:
        return cls(
            keys,
            settings.on_dirty_exit,
            settings.max_recoveries,
            settings.failure_backend,
            settings.retries,
            settings.unknown_job_grace_seconds,
        )


class EndedJob:
    """A job that has ended. Its envelope is read once, when it is asked for."""

    __slots__ = ("_members", "death", "has_envelope", "queue", "raw", "run")

    def __init__(self, queue: str, raw: bytes, death: str = "") -> None:
        """`raw` is its payload, as it came; `death`, for DIED, the process and the time, as the
        crash history has it."""
        self.queue = queue
        self.raw = raw
        self.death = death
        self.run: Details | None = None
        """What is known of the run of a tracked job, in the process that ran it."""
        self.has_envelope = raw.find(b'"gresque"') >= 0  # in half the time of `in`
        self._members: Members | None = None

    @property
    def members(self) -> Members:
        if self._members is None:
            self._members = members_of(self.raw)
        return self._members


class Ending(msgspec.Struct):
    """The outcome of an end."""

    way: Way
    effects: tuple[Effect, ...] = ()
    raw: bytes = b""
    """The payload that goes on, with its history."""

    @property
    def is_kept(self) -> bool:
        """Whether a failure leaves an entry."""
        return bool(self.effects) and self.effects[0].kind == "fail"


class Attempt(msgspec.Struct):
    """The attempt that ended: the class of its exception and the message, when, and when the job
    runs again, if it does (see `next_run`)."""

    error_class: str
    message: str
    now: float
    again: Again | None = None
    backtrace: Sequence[str] = ()


MakeEntry = Callable[[Way, bytes], bytes]
"""Writes the failure entry of a job that has ended this way, with this payload. Called only for a
failure that leaves one."""


def effects_of(
    job: EndedJob,
    end: End,
    definition: JobDefinition | None,
    rules: EndRules,
    make_entry: MakeEntry | None = None,
    attempt: Attempt | None = None,
) -> Ending:
    """Where a job goes, the effects that take it there, and what becomes of its lock. Without
    `make_entry` a failure leaves no entry. `attempt` is for ends that an exception made."""
    mark = None
    if job.has_envelope and UNIQUE_IN_BYTES in job.raw:
        mark = mark_of(job.members)
    if end is End.LOCKED_OUT and mark is not None:
        effects = locks.wait(rules.keys, job.queue, job.raw, mark)
        return Ending(Way.SNOOZED, effects, job.raw)
    ending = _ending_of(job, end, definition, rules, make_entry, attempt)
    if mark is not None:
        ending.effects += _of_lock(job, end, ending, mark, rules)
    if job.has_envelope and TRACK_IN_BYTES in job.raw:
        ending.effects += _of_state(job, end, ending, rules, attempt)
    return ending


STATES = {
    Way.DONE: "done",
    Way.FAILED: "failed",
    Way.POISON: "failed",
    Way.RETRIED: "retrying",
    Way.SNOOZED: "later",
    Way.BACK: "queued",
    Way.GONE: "cancelled",
}
"""The state of a tracked job after its end, but for those of `_state_after`."""
UNCHANGED = frozenset({End.GIVEN_BACK, End.ENTRY_REMOVED})
"""Ends that say nothing new of a tracked job: it waits as before, or has failed before."""


def _state_after(end: End, ending: Ending) -> str:
    if end is End.RETRIED or (ending.way is Way.RETRIED and ending.effects[0].kind == "push"):
        return "queued"
    if end is End.EXPIRED and ending.way is Way.DONE:
        return "cancelled"
    return STATES[ending.way]


def state_after(queue: str, raw: bytes, end: End) -> KnownJob | None:
    """What is known of a tracked job after an end by hand."""
    if TRACK_IN_BYTES not in raw:
        return None
    return _known_after(EndedJob(queue, raw), end, Ending(Way.GONE), None)


def _of_state(
    job: EndedJob, end: End, ending: Ending, rules: EndRules, attempt: Attempt | None
) -> tuple[Effect, ...]:
    """The effect of an end on what is known of a tracked job."""
    known = _known_after(job, end, ending, attempt)
    return () if known is None else (noted(rules.keys, *known),)


def _known_after(
    job: EndedJob, end: End, ending: Ending, attempt: Attempt | None
) -> KnownJob | None:
    if end in UNCHANGED:
        return None
    error = None
    if attempt is not None and ending.way in (Way.FAILED, Way.POISON, Way.RETRIED):
        message = attempt.message
        if ending.way is Way.POISON:
            message = f"given up after {recoveries(ending.raw)} deaths; the last: {message}"
        error = cut_error(attempt.error_class, message, attempt.backtrace)
    elif end is End.EXPIRED and ending.way is Way.DONE:
        error = cut_error("gresque.JobExpired", "it was dropped after its time", ())
    first = ending.effects[0] if ending.effects else None
    delay_ms = int(first.a) if first is not None and first.kind in PUT_OFF else 0
    going_on = members_of(ending.raw) if ending.raw and ending.raw is not job.raw else job.members
    state, now = _state_after(end, ending), attempt.now if attempt else time.time()
    return known_job(
        job.raw, job.queue, job.members, state, job.run,
        attempt=attempts.attempt_of(going_on), error=error, delay_ms=delay_ms, now=now,
    )  # fmt: skip


def _of_lock(
    job: EndedJob, end: End, ending: Ending, mark: Mark, rules: EndRules
) -> tuple[Effect, ...]:
    """The effects of an end on the lock. A job that will run again keeps a lock that it took when
    it was enqueued. It releases one that it took when it started, so that another job can have
    it."""
    keys, way = rules.keys, ending.way
    if end in (End.GIVEN_BACK, End.RETRIED, End.ENTRY_REMOVED):
        return ()
    if mark.mode == "running" or way not in (Way.BACK, *RUNS_AGAIN):
        following = "" if end is End.QUEUE_REMOVED else job.queue
        return (locks.release(keys, following, job.raw, mark),)
    if way is Way.BACK or ending.effects[0].kind == "push":
        return ()
    return (locks.keep_until(keys, job.raw, mark, int(ending.effects[0].a)),)


def _ending_of(
    job: EndedJob,
    end: End,
    definition: JobDefinition | None,
    rules: EndRules,
    make_entry: MakeEntry | None,
    attempt: Attempt | None,
) -> Ending:
    if end not in TRIED_AGAIN:
        if end is End.DONE or (
            end is End.EXPIRED and definition and definition.on_expire == "drop"
        ):
            return Ending(Way.DONE)
        if end in BY_HAND:
            return Ending(Way.GONE)
        if end in (End.GIVEN_BACK, End.LOCKED_OUT):
            return _back(job.queue, job.raw, rules)
        if end in DIRTY and dirty_exit(job.raw, definition, rules) == "requeue":
            # Also when a field that is not read is broken: such a job runs, and may be to blame.
            if end is End.DIED and payload.class_of(job.raw) is not None:
                return _after_death(job, definition, rules, make_entry)
            return _back(job.queue, job.raw, rules)
    raw = job.raw
    if attempt is not None:
        ending = None if attempt.again is None else _again(job, end, attempt, attempt.again, rules)
        if ending is not None:
            return ending
        if job.has_envelope and b'"errors"' in raw:
            raw = attempts.ended(raw, attempt.error_class, attempt.message, attempt.now)
    return _failure(Way.FAILED, job.queue, raw, definition, rules, make_entry)


def next_run(
    job: EndedJob,
    end: End,
    definition: JobDefinition | None,
    rules: EndRules,
    error: BaseException,
    now: float,
    *,
    own_delays: bool = True,
) -> Again | None:
    """When a job runs again after this end; None for never. Of the exception only its class is
    looked at. A declared back-off function raises here what it raises; it is passed over without
    `own_delays`."""
    if not may_run_again(job, end, definition, rules, error):
        return None
    if definition is None and payload.class_of(job.raw) in (None, payload.INVALID):
        return None  # it is no job
    members = job.members
    if end is End.UNKNOWN:
        since = attempts.time_of(members, attempts.UNKNOWN_SINCE) or now
        waits = now < since + rules.unknown_grace_seconds
        return Again(UNKNOWN_SECONDS, counts=False) if waits else None
    policy = None if definition is None else definition.retry
    if policy is not None and not own_delays:
        policy = replace(policy, backoff=default_backoff)
    again = next_attempt(error, policy, members, rules.retries, now)
    if again is not None and again.counts and b'"expires_at"' in job.raw:
        expires_at = payload.expiry_of(job.raw)
        # It would not run, and what happened to it would be lost.
        if expires_at is not None and now + again.seconds >= expires_at:
            return None
    return again


def may_run_again(
    job: EndedJob,
    end: End,
    definition: JobDefinition | None,
    rules: EndRules,
    error: BaseException,
) -> bool:
    """False where nothing asks for another run: most failures, which cost no reading then."""
    if end not in TRIED_AGAIN:
        return False
    if end is End.UNKNOWN or rules.retries or (definition is not None and definition.retry):
        return True
    said = job.has_envelope and b'"retries"' in job.raw
    return said or issubclass(type(error), RetryLater)


def may_be_tried_again(job: EndedJob, definition: JobDefinition | None, rules: EndRules) -> bool:
    """Whether the job has further attempts, or had one."""
    members = job.members if job.has_envelope else {}
    policy = None if definition is None else definition.retry
    return attempts.attempt_of(members) > 1 or retries_of(policy, members, rules.retries) > 0


def _again(
    job: EndedJob, end: End, attempt: Attempt, again: Again, rules: EndRules
) -> Ending | None:
    """None when the payload cannot count the attempt."""
    now, seconds, keys = attempt.now, again.seconds, rules.keys
    if again.counts:
        way, kind = Way.RETRIED, "later"
        error = attempt.error_class, attempt.message
        raw = attempts.failed_attempt(job.raw, *error, now, seconds, job.members)
    else:
        way, kind = Way.SNOOZED, "snooze"
        write = attempts.unknown_here if end is End.UNKNOWN else attempts.snoozed
        raw = write(job.raw, now, seconds)
    if raw is None:
        return None
    if again.counts and not seconds:
        return Ending(way, (pushed(keys, job.queue, raw),), raw)
    member = member_for(payload.id_of(job.raw))
    effect = put_off(kind, keys, job.queue, math.ceil(seconds * 1000), member, raw)
    return Ending(way, (effect,), raw)


def dirty_exit(raw: bytes, definition: JobDefinition | None, rules: EndRules) -> str:
    """Whether a job that is cut short is put back or fails: `requeue` or `fail`."""
    if definition is not None and definition.on_dirty_exit:
        return definition.on_dirty_exit
    declared = member(members_of(raw), DIRTY_EXIT, str)
    return declared if declared in DIRTY_EXITS else rules.on_dirty_exit


def _after_death(
    job: EndedJob, definition: JobDefinition | None, rules: EndRules, make_entry: MakeEntry | None
) -> Ending:
    """The death counts on the job. After the last one that it may see the job fails."""
    raw = add_death(job.raw, job.death)
    if 0 < rules.max_recoveries <= recoveries(raw):
        return _failure(Way.POISON, job.queue, raw, definition, rules, make_entry)
    return _back(job.queue, raw, rules)


def _back(queue: str, raw: bytes, rules: EndRules) -> Ending:
    """A suspect goes to the list of suspects, from any list."""
    deaths = recoveries(raw) if b'"recoveries"' in raw else 0
    keys = rules.keys
    effect = suspected(keys, queue, deaths) if deaths else requeued(keys, queue)
    return Ending(Way.BACK, (effect,), raw)


def _failure(
    way: Way,
    queue: str,
    raw: bytes,
    definition: JobDefinition | None,
    rules: EndRules,
    make_entry: MakeEntry | None,
) -> Ending:
    if make_entry is None or (definition is not None and definition.skip_failed_queue):
        return Ending(way, raw=raw)
    place = failed_list_name(rules.failure_backend, rules.keys, queue)
    return Ending(way, (failed(place.key, make_entry(way, raw), place.name),), raw)
