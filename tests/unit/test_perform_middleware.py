"""Perform middleware wraps a job, its hooks and its failure, in a worker too."""

from __future__ import annotations

import json
from contextvars import ContextVar
from typing import Any

import pytest

import gresque
from gresque.errors import MiddlewareError
from gresque.jobs import current
from gresque.jobs.perform import perform_here
from gresque.worker.threads.current import _find
from tests.support.middleware import declare, events, note
from tests.support.middleware import no_events_yet_fixture as no_events_yet_fixture
from tests.support.middleware import own_middleware_fixture as own_middleware_fixture
from tests.support.pool_bench import OpenBench, a_job, wait_long
from tests.support.pool_bench import open_bench_fixture as open_bench_fixture

pytestmark = pytest.mark.usefixtures("own_registry", "own_middleware", "no_events_yet")

tenant: ContextVar[Any] = ContextVar("tenant", default="nobody")


def perform(job: Any, meta: Any = None, *args: Any) -> Any:
    envelope = {} if meta is None else {"gresque": {"meta": meta}}
    raw = json.dumps({"class": "mail", "args": args, "id": "7", **envelope}).encode()
    return perform_here(job.definition, "q", raw)


def test_it_wraps_the_job_and_its_hooks_and_gives_the_result() -> None:
    class Mail(gresque.Job):
        queue, name = "q", "mail"

        def perform(*args: Any) -> int:
            events.append("ran")
            return 7

        def before_perform_note() -> None:
            events.append("before")

        def after_perform_note() -> None:
            events.append("after")

    note("a", chain="perform")
    note("b", first=True, chain="perform")
    assert perform(Mail) == 7
    assert events == ["b begins", "a begins", "before", "ran", "after", "a ends", "b ends"]


def test_what_it_knows() -> None:
    @gresque.perform_middleware
    def look(context: gresque.JobContext, call_next: Any) -> Any:
        events.append((context.id, context.queue, context.attempt, context.meta, context.error))
        events.append(repr(context))
        events.append(context.definition)
        return call_next()

    job = declare()
    perform(job, {"tenant": 7})
    perform(job)
    assert events[:3] == [
        ("7", "q", 1, {"tenant": 7}, None),
        "<JobContext 7 of mail from q>",
        job.definition,
    ]
    assert events[4] == ("7", "q", 1, {}, None)


@pytest.mark.parametrize("kind", ["before", "after"])
def test_it_holds_for_jobs_declared_before_and_after_it(kind: str) -> None:
    job = declare() if kind == "before" else None
    note("a", chain="perform")
    perform(job or declare())
    assert events == ["a begins", ("ran", (), {}), "a ends"]


def test_to_return_without_call_next_fails_the_job() -> None:
    @gresque.perform_middleware
    def around(context: gresque.JobContext, call_next: Any) -> Any:
        return call_next()

    @gresque.perform_middleware
    def forget(context: gresque.JobContext, call_next: Any) -> None: ...

    wrong = "perform middleware .*forget returned without call_next.*; raise gresque.DontPerform"
    with pytest.raises(MiddlewareError, match=wrong):
        perform(declare())
    assert events == []


def test_it_may_skip_a_job_and_swallow_its_error() -> None:
    @gresque.perform_middleware
    def skip(context: gresque.JobContext, call_next: Any) -> Any:
        if context.meta.get("skip"):
            raise gresque.DontPerform
        try:
            return call_next()
        except LookupError:
            return "swallowed"

    def mail() -> None:
        events.append("ran")
        raise LookupError

    job = declare(mail)
    assert perform(job, {"skip": True}) is None
    assert events == []
    assert perform(job) == "swallowed"


def test_it_wraps_the_hooks_of_a_failure() -> None:
    class Mail(gresque.Job):
        queue, name = "q", "mail"

        def perform() -> None:
            raise LookupError("no user")

        def on_failure_note(error: Exception) -> None:
            events.append(("hook", str(error), gresque.current_job().meta))  # type: ignore[union-attr]

    @gresque.perform_middleware
    def around(context: gresque.JobContext, call_next: Any) -> Any:
        events.append(("around", context.error and str(context.error)))
        return call_next()

    with pytest.raises(LookupError):
        perform(Mail, {"tenant": 7})
    assert events == [
        ("around", None),
        ("around", "no user"),
        ("hook", "no user", {"tenant": 7}),
    ]


@pytest.mark.parametrize("meta", ["text", [1], None])
def test_meta_that_is_no_object_counts_as_none(meta: Any) -> None:
    raw = json.dumps({"class": "mail", "args": [], "gresque": {"meta": meta}}).encode()
    assert gresque.CurrentJob("q", raw).meta == {}


# In a worker


@pytest.fixture
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a worker process, `current_job` finds the job of a thread."""
    monkeypatch.setattr(current, "_find", _find)


@pytest.mark.usefixtures("_known")
def test_a_kill_passes_through_it(open_bench: OpenBench) -> None:
    @gresque.perform_middleware
    def scoped(context: gresque.JobContext, call_next: Any) -> Any:
        events.append("begins")
        try:
            return call_next()
        finally:
            events.append("ends")

    bench = open_bench()
    bench.add("waits", wait_long)
    bench.put(a_job(1, "waits"))
    bench.until(lambda: events == ["begins"])
    bench.pool.kill_jobs("by a test")
    bench.until(lambda: len(bench.in_flight.ended) == 1)
    assert events == ["begins", "ends"]
    assert bench.counts == (0, 1, 0)


@pytest.mark.usefixtures("_known")
def test_the_next_job_of_a_thread_sees_nothing_of_it(open_bench: OpenBench) -> None:
    gresque.propagate(tenant)
    bench = open_bench(size=1)

    def mail(number: int) -> None:
        events.append(tenant.get())
        tenant.set(f"left by {number}")

    bench.add("mail", mail)
    slot, queue, plain = a_job(1, "mail", 1)
    with_tenant = plain[:-1] + b',"gresque":{"meta":{"tenant":7}}}'
    bench.run((slot, queue, with_tenant), a_job(2, "mail", 2), (b"3", queue, with_tenant))
    assert events == [7, "nobody", 7]
