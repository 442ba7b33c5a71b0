"""The tree of gresque's errors. A message says the cause and the remedy."""

from __future__ import annotations

import copyreg
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from gresque.seconds import seconds_of


class GresqueError(Exception):
    """Root of every error that gresque raises."""


class SettingsError(GresqueError):
    """A flag, an ENV variable or a URL is wrong. The command line prints it and exits with 2."""


class FilterError(SettingsError):
    """A filter cannot be read. The text says in one line what is wrong with it."""


class BootError(GresqueError):
    """The worker cannot start: Redis out of reach, a module that does not import. Exit 1.

    `more` are further lines for a reader on a terminal.
    """

    def __init__(self, text: str, more: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.more = more


class AmbiguousId(GresqueError):
    """The end of an id that several jobs have."""


class RedisUnavailable(GresqueError):
    """Redis could not be reached, did not answer, or refused; redis-py's error is the cause."""


class JobDeclarationError(GresqueError):
    """A job was declared wrongly: no queue, no perform, a name used twice."""


class ScheduleError(GresqueError):
    """A cron line, an interval, a zone or a schedule file is wrong, or an entry is not there."""


class NoScheduleEntry(ScheduleError):
    """No schedule entry has this name."""


class NotReadableHere(ScheduleError):
    """A package or a time zone is missing; another machine may have it."""


class EnqueueError(GresqueError):
    """The job was not enqueued; nothing was written."""


class NotEnqueued(EnqueueError, RedisUnavailable):
    """Redis kept a job from being enqueued: it is in no queue. redis-py's error is the cause.

    In a bulk `enqueued_ids` are the jobs that are enqueued already.
    """

    enqueued_ids: Sequence[str] = ()


class PerhapsEnqueued(RedisUnavailable):
    """A job was sent and no answer came: whether it is in its queue is not known.

    In a bulk `enqueued_ids` are the jobs that are enqueued for certain.
    """

    enqueued_ids: Sequence[str] = ()


class DuplicateJob(EnqueueError):
    """A unique job with `on_duplicate="raise"` was not enqueued: another job with its key waits or
    runs. `job_id` is the id of that job. In a bulk `enqueued_ids` are the ids of the jobs that were
    enqueued before.
    """

    job_id: str = ""
    enqueued_ids: Sequence[str] = ()


class UnserializableArgument(EnqueueError, TypeError):
    """JSON cannot carry an argument; the message names the argument."""


class WrongArguments(EnqueueError, TypeError):
    """The job's function cannot be called with these arguments; the message says what it takes."""


class PayloadTooLarge(EnqueueError):
    """A payload is over `jobs.payload.MAX_PAYLOAD_BYTES`; in a worker, an item that it refuses."""


class InvalidPayload(GresqueError):
    """A queue item is not a job: not JSON, not an object, no class, not UTF-8."""


class InvalidArguments(GresqueError):
    """An argument of a payload does not fit the annotation of its parameter."""


class UnknownJob(GresqueError):
    """A payload names a job that no required module declares."""


class InvalidJobResult(GresqueError):
    """A job returned a coroutine or a generator: work that is described and not done."""


class MiddlewareError(GresqueError):
    """A perform middleware returned without `call_next()`: the job did not run."""


class UnserializableResult(GresqueError):
    """The result of a tracked job cannot be kept: JSON cannot carry it, or it is over
    RESULT_MAX_BYTES. The job fails, and is not tried again, as it has run."""


class NotKnown(GresqueError):
    """Nothing is known of a job: it never was, its result has expired, or it is not tracked."""


class JobFailed(GresqueError):
    """The job whose result was asked for has failed for good.

    `error` is the class of its exception with the message, `traceback` its text; both are cut.
    """

    def __init__(self, message: str, error: str = "", traceback: str = "") -> None:
        super().__init__(message)
        self.error = error
        self.traceback = traceback

    def __reduce__(self) -> Any:
        return type(self), (str(self), self.error, self.traceback)


class JobCancelled(JobFailed):
    """The job whose result was asked for was taken out of its queue, or dropped after its time."""


class NotEnded(GresqueError, TimeoutError):
    """The time for a wait is over and jobs have not ended. `ended` are those that have: their
    states by id."""

    ended: Mapping[str, Any] = {}


class DirtyExit(GresqueError):
    """A job was cut short: by an operator, a shutdown or the death of its process."""


class PoisonJob(DirtyExit):
    """A job was given up: MAX_RECOVERIES processes died while holding it."""


class JobExpired(GresqueError):
    """A job was taken up after its time (`expires_seconds`), and not run."""


class SweepLockLost(GresqueError):
    """Another command retries or removes failed jobs by now: this one made no progress for too
    long."""


class DontPerform(Exception):
    """Raised in `before_perform` or `around_perform`: skip this job, which then counts as done."""


class RetryLater(Exception):
    """Raised in a job: run it again after this time, as the same attempt. Nothing has failed.

    `delay` is a number of seconds or a timedelta.
    """

    def __init__(self, delay: float | timedelta) -> None:
        seconds = seconds_of(delay)
        if seconds is None or seconds < 0:
            raise ValueError(
                f"RetryLater({delay!r}): give a number of seconds, 0 or more, or a timedelta"
            )
        super().__init__(f"run again in {seconds:g} s")
        self.seconds = float(seconds)

    def __reduce__(self) -> Any:
        """For a pool of processes: Exception would give its text to `__init__`."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class GiveUp(Exception):
    """Raised in a job: it fails for good, whatever number of retries it has left."""


class JobKilled(BaseException):
    """Thrown into a running job to end it.

    A `BaseException`, so that a job's own `except Exception` does not swallow it; `finally` runs.
    """


class JobTimeout(JobKilled):
    """Thrown into a job that has run for longer than its `timeout_seconds`."""


class Fenced(GresqueError):
    """A worker process was declared dead, and its jobs were recovered by another process."""


class CutOff(GresqueError):
    """Redis stayed away until a worker process had to leave; its ledger shows what it held."""
