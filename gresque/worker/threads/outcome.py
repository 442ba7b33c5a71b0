"""What becomes of a job that did not simply succeed: its failure entry, or its way back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, time
from typing import Any

from gresque.errors import DirtyExit, JobExpired, JobKilled, JobTimeout
from gresque.failure.entry import encode_entry
from gresque.failure.failure_reporter import FailureReporter
from gresque.failure.reporters import Failure
from gresque.jobs import payload
from gresque.jobs.definition import JobDefinition, dirty_exit
from gresque.raised import error_text, read_raised, stand_in
from gresque.store.effects import failed
from gresque.worker.turns.in_flight import InFlight, ReservedJob

log = logging.getLogger("gresque.job")

AsJob = Callable[[ReservedJob, Callable[[], Any]], Any]
"""Calls code of the job's own after its end: its hooks, the `__str__` of its exception."""


class Outcome:
    """Writes the ends of jobs into the book. Nothing here may raise: it runs between jobs."""

    def __init__(
        self, in_flight: InFlight, failures: FailureReporter, worker_id: str, on_dirty_exit: str
    ) -> None:
        self._in_flight = in_flight
        self._failures = failures
        self._worker_id = worker_id
        self._on_dirty_exit = on_dirty_exit
        self.verbose = log.isEnabledFor(logging.DEBUG)

    def fail(
        self,
        job: ReservedJob,
        definition: JobDefinition | None,
        error: BaseException,
        start: float,
        as_job: AsJob,
    ) -> None:
        """The job raised: keep it as a failure, and tell its `on_failure` hooks."""
        self._keep(job, definition, error, error, start, as_job)

    def cut_short(
        self,
        job: ReservedJob,
        definition: JobDefinition | None,
        killed: JobKilled,
        start: float,
        as_job: AsJob,
        *,
        requeue: bool,
    ) -> None:
        """The job was killed. By an operator it fails; by a shutdown (`requeue`) it goes where it
        wants to."""
        if requeue and dirty_exit(definition, self._on_dirty_exit) == "requeue":
            self._in_flight.put_back(job)
            log.info("cut short by a shutdown, back in its queue: %s", describe(job))
            return
        error: BaseException = killed
        if not issubclass(type(killed), JobTimeout):
            try:
                reason = as_job(job, lambda: error_text(killed)) or "it raised JobKilled itself"
            except BaseException as broken:  # another kill
                reason = stand_in(killed, broken).text
            error = DirtyExit(f"Job was killed: {reason}")
        self._keep(job, definition, error, killed, start, as_job)

    def _keep(
        self,
        job: ReservedJob,
        definition: JobDefinition | None,
        error: BaseException,
        raised: BaseException,
        start: float,
        as_job: AsJob,
    ) -> None:
        """Count the failure and write its entry, whatever the exception or a hook may do.

        Its parts come into the book together: a turn in between must not settle half of it.
        """
        if definition is not None and definition.hooks.on_failure:
            # A kill that came too late for the hook, or a log handler of the application's.
            with suppress(BaseException):
                as_job(job, lambda: tell_hooks(definition, error, job))
        try:
            name, text, trace = as_job(job, lambda: read_raised(error, raised))
        except BaseException as broken:  # such a kill
            name, text, trace = stand_in(error, broken)
        if definition is not None and definition.skip_failed_queue:
            self._in_flight.fail(job)
        else:
            entry = encode_entry(job[2], name, text, trace, self._worker_id, job[1])
            list_key, list_name = self._failures.place(job[1])
            self._in_flight.fail(job, failed(list_key, entry, list_name))
            if self._failures.told:
                self._failures.tell(
                    Failure(job[1], self._worker_id, job[2], error, name, text, trace, time())
                )
        log.info("failed after %.3f s: %s: %s: %s", monotonic() - start, describe(job), name, text)

    def drop_expired(self, job: ReservedJob, definition: JobDefinition, expires_at: object) -> bool:
        """What becomes of a job with an expiry: True when it is to count as done without having
        run. Raises JobExpired when it is to fail; one whose time has not come yet runs."""
        if not isinstance(expires_at, int | float) or (late := time() - expires_at) < 0:
            return False
        if definition.on_expire == "fail":
            raise JobExpired(f"it was to start {late:.1f} s before a worker took it up")
        log.debug("dropped, %.1f s too late: %s", late, describe(job))
        return True

    def log_done(self, job: ReservedJob, start: float) -> None:
        log.debug("done in %.3f s: %s", monotonic() - start, describe(job))


def describe(job: ReservedJob) -> str:
    """`mail.send_email(42) 5f0c… from mail`, cut to a line. Never raises."""
    item: dict[str, Any] = payload.loads(job[2][:10_000])
    if "class" not in item:
        return f"an item of {len(job[2]):,} bytes from {job[1]}"
    args, kwargs = item.get("args"), item.get("kwargs")
    arguments = ", ".join(
        [
            *(map(repr, args) if isinstance(args, list) else ["" if args is None else repr(args)]),
            *(f"{k}={v!r}" for k, v in (kwargs.items() if isinstance(kwargs, dict) else ())),
        ]
    )
    if len(arguments) > 200:
        arguments = arguments[:200] + "…"
    return f"{item['class']}({arguments}) {item.get('id', '')} from {job[1]}"


def directly(job: ReservedJob, call: Callable[[], Any]) -> Any:
    """Calls what belongs to a job that does not run."""
    return call()


def tell_hooks(definition: JobDefinition, error: BaseException, job: ReservedJob) -> None:
    """Call the job's `on_failure` hooks; what they raise is logged."""
    try:
        args, kwargs = payload.split(payload.decode(job[2]).args)
        definition.fail(error, *args, **kwargs)
    except BaseException as broken:  # a kill or a timeout of gevent's, too
        # As a tuple: for an exception alone, logging asks it for its `__traceback__`.
        told = (type(broken), broken, None)
        log.error("an on_failure hook of %s raised", definition.name, exc_info=told)
