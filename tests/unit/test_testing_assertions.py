"""What assertions on enqueued jobs find, and say when they find nothing."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest

import gresque
from gresque.testing import FakeJobs, approx, frozen, perform
from tests.support.faked_jobs import chained, message, seen, send
from tests.support.faked_jobs import jobs_fixture as jobs_fixture


def test_an_assertion_returns_the_job(jobs: FakeJobs) -> None:
    job_id = send.enqueue(42, template="bye")
    found = jobs.assert_enqueued(send, 42, "bye", queue="mail", times=1)
    assert (found.id, found.kwargs, found.at) == (job_id, {"template": "bye"}, None)
    jobs.assert_enqueued(send)
    jobs.assert_enqueued("fake.send", user=42, template=mock.ANY)
    jobs.assert_not_enqueued(send, 42)
    jobs.assert_not_enqueued(send, queue="low")


def test_the_message_shows_what_is_enqueued(jobs: FakeJobs) -> None:
    assert message(jobs.assert_enqueued, send) == "fake.send is not enqueued\nNo job is enqueued."
    with frozen(datetime(2027, 1, 1, tzinfo=UTC)):
        send.enqueue(1)
        send.enqueue_in(60, 2)
        chained.enqueue(3)
        assert message(jobs.assert_enqueued, send, 4, "x", queue="low") == (
            "fake.send(4, 'x') in queue 'low' is not enqueued\n"
            "Enqueued are:\n"
            "  fake.send(1) in queue 'mail'\n"
            "  fake.send(2) in queue 'mail', due at 2027-01-01 00:01:00.000+00:00\n"
            "Other jobs:\n"
            "  fake.chained(3) in queue 'web'"
        )
    assert "enqueued 2 times, and not 1" in message(jobs.assert_enqueued, send, times=1)
    assert message(jobs.assert_not_enqueued, send, 1).startswith("fake.send(1) is enqueued\n")
    assert message(jobs.assert_not_enqueued).startswith("3 jobs are enqueued\n")
    assert message(jobs.only, send).startswith("2 jobs are enqueued of fake.send, and not one\n")
    gresque.enqueue_many(send, [(n,) for n in range(30)])
    assert message(jobs.only).endswith("\n  and 13 more")


def test_times_are_compared(jobs: FakeJobs) -> None:
    noon = datetime(2027, 1, 1, 12, tzinfo=UTC)
    send.enqueue_at(noon, 1)
    for at in (noon, noon.timestamp(), pytest.approx(noon.timestamp() + 1, abs=2), approx(noon)):
        jobs.assert_enqueued(send, 1, at=at)
    jobs.assert_not_enqueued(send, 1, at=approx(noon + timedelta(seconds=3)))
    jobs.assert_enqueued(send, 1, at=approx(noon + timedelta(seconds=3), seconds=5))
    send.enqueue_in(3600, 2)
    jobs.assert_enqueued(send, 2, at=approx(timedelta(hours=1)))
    assert "± 1 s" in message(jobs.assert_enqueued, send, 2, at=approx(timedelta(hours=2)))
    send.enqueue(3)
    jobs.assert_not_enqueued(send, 3, at=approx(timedelta(0)))


def test_what_no_job_can_have_is_refused(jobs: FakeJobs) -> None:
    """Else an assertion that it is not enqueued would hold without a word."""
    with pytest.raises(gresque.WrongArguments):
        jobs.assert_not_enqueued(send, 1, 2, 3)
    with pytest.raises(gresque.UnserializableArgument, match=r"so no job has it; pass str\(x\)"):
        jobs.assert_not_enqueued(send, uuid.uuid4())
    for at, why in (
        (timedelta(seconds=5), r"give approx\(\.\.\.\) of a timedelta"),
        (datetime(2027, 1, 1), "has no time zone"),
        ("tomorrow", "is no point in time"),
    ):
        with pytest.raises(gresque.EnqueueError, match=why):
            jobs.assert_not_enqueued(send, at=at)
    for times in (0, -1, 1.5, "x"):
        with pytest.raises(ValueError, match="give 1 or more"):
            jobs.assert_enqueued(send, times=times)  # type: ignore[arg-type]


# Typed arguments


def test_typed_arguments_are_compared_as_they_are_sent(jobs: FakeJobs, own_registry: None) -> None:
    @gresque.job("q", name="fake.typed")
    def typed(key: uuid.UUID, at: datetime | None = None) -> tuple[Any, Any]:
        seen.append((key, at))
        return key, at

    key, noon = uuid.uuid4(), datetime(2027, 1, 1, 12, tzinfo=UTC)
    typed.enqueue(key, at=noon)
    jobs.assert_enqueued(typed, key, noon)
    jobs.assert_enqueued(typed, mock.ANY, mock.ANY)
    jobs.assert_not_enqueued(typed, uuid.uuid4(), noon)
    assert jobs.only().args == (str(key),)
    with pytest.raises(gresque.WrongArguments):
        jobs.assert_not_enqueued(typed, "no key")
    jobs.drain()
    assert seen == [(key, noon)]
    assert perform(typed, key, noon) == (key, noon)
