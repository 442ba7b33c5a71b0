"""Jobs that run in their caller, and one job as a worker runs it."""

from __future__ import annotations

import unittest
import uuid
from contextvars import ContextVar
from typing import Any

import pytest

import gresque
from gresque.client import stand_in
from gresque.testing import FakeJobsMixin, fake, inline, perform
from tests.support.middleware import own_middleware_fixture as own_middleware_fixture

tenant: ContextVar[str] = ContextVar("tenant", default="none")
seen: list[Any] = []


@gresque.job("web", name="modes.note", retries=2)
def note(values: Any, fail: bool = False) -> Any:
    job = gresque.current_job()
    assert job is not None
    seen.append((values, job.attempt, len(job.history), job.queue))
    if fail:
        raise OSError("no")
    return values, tenant.get()


class Hooked(gresque.Job):
    queue = "web"
    name = "modes.hooked"
    retries = 2

    def perform() -> None:  # type: ignore[misc]
        raise OSError("no")

    def on_retry(error: Exception) -> None:  # type: ignore[misc]
        seen.append("on_retry")

    def on_failure(error: Exception) -> None:  # type: ignore[misc]
        seen.append("on_failure")


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    seen.clear()


# inline


def test_inline_runs_at_once_and_raises() -> None:
    client = gresque.Client("redis://nowhere.invalid")
    with inline():
        assert client.enqueue(note, (1, 2))
        note.enqueue_in(3600, 3)
        note.enqueue_unique(4)
        gresque.enqueue_many(note, [(5,), (6,)])
        with pytest.raises(OSError, match="no"):
            note.enqueue(7, fail=True)
        with pytest.raises(gresque.UnserializableArgument):
            note.enqueue(uuid.uuid4())
        with pytest.raises(OSError, match="no"):
            Hooked.enqueue()
        assert client.size("web") == 0
    assert [call[0] for call in seen[:-1]] == [[1, 2], 3, 4, 5, 6, 7]
    assert seen[-1] == "on_failure"


def test_fake_within_inline_keeps_jobs() -> None:
    with inline(), fake() as jobs:
        note.enqueue(1)
        assert not seen
        jobs.assert_enqueued(note, 1)


# perform


def test_perform_runs_one_job_as_a_worker() -> None:
    tenant.set("of the test")
    assert perform(note, (1, 2)) == ([1, 2], "none")
    assert perform("modes.note", 3, attempt=3, queue="low") == (3, "none")
    assert seen == [([1, 2], 1, 0, "web"), (3, 3, 2, "low")]
    assert gresque.current_job() is None


def test_perform_checks_the_call() -> None:
    with pytest.raises(gresque.UnserializableArgument):
        perform(note, uuid.uuid4())
    with pytest.raises(gresque.WrongArguments):
        perform(note)
    for attempt in (0, "x", 1.5):
        with pytest.raises(ValueError, match="the first one is 1"):
            perform(note, 1, attempt=attempt)  # type: ignore[arg-type]
    assert not seen


def test_perform_raises_what_the_job_raises_after_its_hooks() -> None:
    with pytest.raises(OSError, match="no"):
        perform(Hooked)
    with pytest.raises(OSError, match="no"):
        perform(Hooked, attempt=3)
    assert seen == ["on_retry", "on_failure"]


# Middleware


@pytest.mark.usefixtures("own_middleware")
def test_middleware_and_propagated_values_come_along() -> None:
    @gresque.enqueue_middleware
    def number(message: Any, call_next: Any) -> Any:
        message.meta["number"] = 7
        return call_next()

    @gresque.perform_middleware
    def around(context: Any, call_next: Any) -> Any:
        seen.append((context.meta["number"], type(context.error).__name__))
        return call_next()

    gresque.propagate(tenant)
    tenant.set("of the test")
    assert perform(note, 1) == (1, "of the test")
    with pytest.raises(OSError, match="no"):
        perform(Hooked)
    with fake() as jobs:
        note.enqueue(2)
        jobs.drain()
    around_jobs = [each for each in seen if each[0] == 7]
    assert around_jobs == [(7, "NoneType"), (7, "NoneType"), (7, "OSError"), (7, "NoneType")]


def test_a_mixin_holds_for_the_whole_of_a_test() -> None:
    found: list[int] = []

    class Test(FakeJobsMixin, unittest.TestCase):
        def setUp(self) -> None:  # that of the bases is not called
            note.enqueue(1)

        def test_it(self) -> None:
            note.enqueue(2)
            found.append(len(self.jobs))

    result = Test("test_it").run()
    assert result and result.wasSuccessful()
    assert found == [2]
    assert stand_in.current is None


def test_a_mixin_behind_the_test_case_is_refused() -> None:
    with pytest.raises(TypeError, match=r"class Test\(FakeJobsMixin, TestCase\)"):
        type("Test", (unittest.TestCase, FakeJobsMixin), {})


def test_a_job_that_exits_has_failed(own_registry: None) -> None:
    """As in a worker."""

    @gresque.job("web", name="modes.leave", retries=1)
    def leave() -> None:
        raise SystemExit(3)

    with fake() as jobs:
        leave.enqueue()
        note.enqueue(1)
        assert jobs.drain(raises=False) == 3
    assert [job.name for job in jobs.performed] == ["modes.note"]
    ((job, error),) = jobs.failed
    assert (job.attempt, error.args) == (2, (3,))
