"""The modes of a test: `fake`, `inline`, `perform`."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import gresque.clock as clock
from gresque.client import stand_in
from gresque.client.enqueue import checked_queue, definition_of
from gresque.client.stand_in import StandIn
from gresque.errors import EnqueueError
from gresque.jobs.attempts import failed_attempt
from gresque.jobs.definition import JobDefinition
from gresque.jobs.ends import EndRules
from gresque.jobs.ids import new_id
from gresque.jobs.middleware import Message, enqueue_chain, with_meta
from gresque.jobs.payload import encode
from gresque.settings import DEFAULT_NAMESPACE
from gresque.store.keys import Keys
from gresque.testing.errors import TestingWarning
from gresque.testing.fake import FakeJobs
from gresque.testing.running import run_job
from gresque.testing.store import FakeStore

if TYPE_CHECKING:
    from gresque.client.client import Client
    from gresque.store.store import Store

_active: list[StandIn] = []

ALLOWED = "GRESQUE_TESTING"
"""Set in the environment of a program that is a test though it does not look like one."""


@contextmanager
def fake(*, cron: bool = False) -> Iterator[FakeJobs]:
    """Let jobs be enqueued as in production, with all checks and hooks, and wait in this process:
    no server is asked, and nothing runs but by `drain`.

        with gresque.testing.fake() as jobs:
            signup("ada@example.com")
            jobs.assert_enqueued(send_email, "ada@example.com")
            jobs.drain()

    It holds for all clients and threads of the program, also for clients that were made before.
    With `cron=True` the schedules that the code declares follow `advance`.
    """
    jobs = FakeJobs(cron=cron)
    with standing_in(jobs):
        try:
            yield jobs
        finally:
            jobs.close()


@contextmanager
def inline() -> Iterator[None]:
    """Let each job run at once in its caller, with its hooks; its exceptions are raised there, and
    nothing is tried again. Its arguments pass through JSON as in production. No server is asked.

    with gresque.testing.inline():
        signup("ada@example.com")  # has sent the email when it returns
    """
    with standing_in(_Inline()):
        yield


def perform(
    job: Any, /, *args: Any, attempt: int = 1, queue: str | None = None, **kwargs: Any
) -> Any:
    """Run one job as a worker runs it, and return what it returns: its arguments pass through JSON,
    its hooks and the middleware are called, `current_job()` is there,
    and of the caller's contextvars only what `gresque.propagate` names. An
    exception of the job is raised; `on_retry` or `on_failure` has been called then.

    `attempt=2` is its second attempt, after one that failed. No time limit ends it. An argument of
    the job that is named `attempt` or `queue` is passed by its position.

        gresque.testing.perform(send_email, 42, attempt=2)
    """
    definition = definition_of(job)
    if definition.check_call is not None:
        definition.check_call(args, kwargs)
    if not isinstance(attempt, int) or attempt < 1:
        raise ValueError(f"attempt={attempt!r}: give a whole number; the first one is 1")
    name = checked_queue((definition.queue or "test") if queue is None else queue)
    raw = _made(definition, name, args, kwargs)
    if raw is None:
        raise EnqueueError(f"an enqueue middleware left out the job {definition.name}")
    for number in range(1, attempt):
        error = "Exception", f"attempt {number} of this test"
        raw = failed_attempt(raw, *error, clock.now(), 0) or raw
    run = run_job(name, raw, EndRules(Keys(DEFAULT_NAMESPACE)))
    if run.error is not None:
        raise run.error
    return run.result


def _made(
    definition: JobDefinition, queue: str, args: Sequence[Any], kwargs: dict[str, Any]
) -> bytes | None:
    """The payload as an enqueue makes it, within the middleware. The hooks of the enqueue are not
    called."""
    job_id = new_id()
    if not enqueue_chain.runs:
        sent = definition.wire_of(args, kwargs)
        return encode(definition.name, *sent, job_id, 1, definition.envelope)
    message = Message(job_id, definition.name, queue, args, kwargs, {})
    return enqueue_chain.run(
        message,
        lambda: encode(
            definition.name,
            *definition.wire_of(message.args, message.kwargs),
            job_id,
            1,
            with_meta(definition.name, definition.envelope, message.meta),
        ),
    )


class _Inline:
    """Nothing is enqueued, and to look finds no job."""

    def to_enqueue(self, client: Client) -> Store | None:
        return None

    def to_look(self, client: Client) -> Store:
        return cast("Store", FakeStore(client.namespace))


@contextmanager
def standing_in(instead: StandIn) -> Iterator[None]:
    if not _is_test():
        warnings.warn(
            "gresque.testing is active, and this is no run of pytest or unittest: jobs reach no "
            f"worker. Set {ALLOWED}=1 if that is meant",
            TestingWarning,
            stacklevel=5,
        )
    _active.append(instead)
    stand_in.current = instead
    try:
        yield
    finally:
        # Not always the last: two threads may have one each.
        del _active[max(n for n, each in enumerate(_active) if each is instead)]
        stand_in.current = _active[-1] if _active else None


def _is_test() -> bool:
    if "pytest" in sys.modules or os.environ.get(ALLOWED):
        return True
    frame = sys._getframe()
    while (caller := frame.f_back) is not None:
        frame = caller
        if frame.f_globals.get("__name__") == "unittest.case":
            return True
    return False
