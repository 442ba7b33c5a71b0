"""One run of a job, as a worker runs it: decoded from its payload, in a context of its own, with
its hooks and the perform middleware, and ended by the rules of `jobs/ends.py`. No time limit, and
nothing can kill it."""

from __future__ import annotations

from contextvars import Context
from typing import Any, NamedTuple

import msgspec

import gresque.clock as clock
from gresque.errors import (
    DontPerform,
    InvalidPayload,
    JobExpired,
    PayloadTooLarge,
    UnknownJob,
    UnserializableResult,
)
from gresque.jobs.current import CurrentJob, running
from gresque.jobs.definition import JobDefinition
from gresque.jobs.ends import (
    Attempt,
    End,
    EndedJob,
    Ending,
    EndRules,
    effects_of,
    may_be_tried_again,
    next_run,
)
from gresque.jobs.payload import Payload, decode, split
from gresque.jobs.registry import registry
from gresque.jobs.result import check_result
from gresque.jobs.retry_policy import Again
from gresque.jobs.tracking import encode_result
from gresque.raised import exception_name, message
from gresque.testing.tracks import details_of


class Run(NamedTuple):
    """How a run ended."""

    ending: Ending
    result: Any = None
    error: Exception | SystemExit | None = None
    again: Again | None = None
    """When the job runs again after an error, if it does."""


def run_job(queue: str, raw: bytes, rules: EndRules) -> Run:
    """Run a job. An exception of a hook comes out: a worker would log it, and a test should see
    it."""
    return Context().run(_run, queue, raw, rules)


def _run(queue: str, raw: bytes, rules: EndRules) -> Run:
    ended, definition = EndedJob(queue, raw), None
    details = ended.run = details_of(queue, raw)
    with running(CurrentJob(queue, raw)):
        try:
            call = decode(raw)
            definition = registry.get_wrapped(call.name, call.args)
            if _is_dropped(definition, call):
                return Run(effects_of(ended, End.EXPIRED, definition, rules))
            args, kwargs = split(call.args)
            result = definition.call(*args, **kwargs)
            check_result(f"job {definition.name}", result)
            if details is not None:
                details.value = msgspec.Raw(encode_result(definition.name, result))
        except DontPerform:
            result = None
        except (Exception, SystemExit) as error:
            return _failed(ended, definition, error, rules)
    return Run(effects_of(ended, End.DONE, definition, rules), result)


def _is_dropped(definition: JobDefinition, call: Payload) -> bool:
    """As `Outcome.drop_expired` of a worker."""
    expires_at = call.expires_at
    if not isinstance(expires_at, int | float) or (late := clock.now() - expires_at) < 0:
        return False
    if definition.on_expire == "drop":
        return True
    raise JobExpired(f"it was to start {late:.1f} s before a worker took it up")


def _failed(
    ended: EndedJob,
    definition: JobDefinition | None,
    error: Exception | SystemExit,
    rules: EndRules,
) -> Run:
    end, now = _end_of(error, definition), clock.now()
    again = next_run(ended, end, definition, rules, error, now)
    if definition is not None:
        args, kwargs = split(decode(ended.raw).args)
        for kind in _hooks_of(ended, definition, again, rules):
            definition.tell(kind, error, args, kwargs)
    attempt = Attempt(exception_name(error), message(error), now, again)
    ending = effects_of(ended, end, definition, rules, attempt=attempt)
    return Run(ending, error=error, again=again)


def _end_of(error: Exception | SystemExit, definition: JobDefinition | None) -> End:
    if definition is not None:
        if isinstance(error, UnserializableResult):
            return End.RESULT_REFUSED
        return End.EXPIRED if isinstance(error, JobExpired) else End.FAILED
    if isinstance(error, InvalidPayload | PayloadTooLarge):
        return End.UNREADABLE
    return End.UNKNOWN if isinstance(error, UnknownJob) else End.FAILED


def _hooks_of(
    ended: EndedJob, definition: JobDefinition, again: Again | None, rules: EndRules
) -> tuple[str, ...]:
    """The hooks of a failure, as `Outcome` of a worker calls them."""
    if again is not None:
        return ("on_retry",) if again.counts else ()
    if may_be_tried_again(ended, definition, rules):
        return "on_failure", "on_give_up"
    return ("on_failure",)
