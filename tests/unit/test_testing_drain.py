"""`drain` runs the jobs of a fake as a worker would."""

from __future__ import annotations

from datetime import timedelta

import pytest

import gresque
from gresque.testing import FakeJobs, approx
from tests.support.faked_jobs import Hooked, chained, fails, message, seen, send, tenant
from tests.support.faked_jobs import jobs_fixture as jobs_fixture


def test_drain_runs_also_what_jobs_enqueue(jobs: FakeJobs) -> None:
    tenant.set("of the test")
    chained.enqueue(1)
    send.enqueue(2)
    send.enqueue_in(60, 3)
    assert jobs.drain() == 3
    assert seen == [("web", 1, "none"), (2, "welcome"), (1, "welcome")]
    assert [job.args for job in jobs.performed] == [(1,), (2,), (1,)]
    assert jobs.only().at


def test_drain_runs_single_queues(jobs: FakeJobs) -> None:
    chained.enqueue(1)
    send.enqueue(2)
    assert jobs.drain(queue="web") == 1
    assert jobs.drain(queue=["mail"]) == 2


def test_a_failure_is_raised_and_the_others_wait(jobs: FakeJobs) -> None:
    send.enqueue(1)
    send.enqueue(2)
    fails.append(OSError("no"))
    with pytest.raises(OSError, match="no"):
        jobs.drain()
    assert [(job.args, str(error)) for job, error in jobs.failed] == [((1,), "no")]
    assert jobs.drain() == 1
    send.enqueue(3)
    send.enqueue(4)
    fails.append(OSError("no"))
    assert jobs.drain(raises=False) == 2
    assert len(jobs.failed) == 2


def test_attempts_follow_at_once(jobs: FakeJobs) -> None:
    fails.extend([OSError("one"), OSError("two")])
    chained.enqueue(1)
    assert jobs.drain() == 4
    assert [call[1] for call in seen[:3]] == [1, 2, 3]
    fails.extend(OSError(str(n)) for n in range(3))
    chained.enqueue(1)
    with pytest.raises(OSError, match="2"):
        jobs.drain()
    assert not len(jobs)


def test_hooks_are_called_as_by_a_worker(jobs: FakeJobs) -> None:
    fails.extend([OSError("one"), OSError("two")])
    Hooked.enqueue()
    jobs.drain(raises=False)
    once = ["before_perform", "perform"]
    assert seen == [
        "after_enqueue", *once, "on_retry one", *once, "on_failure two", "on_give_up two",
    ]  # fmt: skip


def test_a_job_that_asks_to_run_later_waits(jobs: FakeJobs) -> None:
    fails.append(gresque.RetryLater(30))
    chained.enqueue(1)
    assert jobs.drain() == 1
    assert jobs.only().attempt == 1
    jobs.assert_enqueued(chained, at=approx(timedelta(seconds=30)))
    jobs.advance(30)
    assert jobs.drain() == 2


def test_jobs_that_are_too_late_do_not_run(jobs: FakeJobs, own_registry: None) -> None:
    @gresque.job("q", name="fake.short", expires_seconds=10)
    def short() -> None:
        seen.append("ran")

    @gresque.job("q", name="fake.dropped", expires_seconds=10, on_expire="drop")
    def dropped() -> None:
        seen.append("ran")

    short.enqueue()
    dropped.enqueue()
    jobs.advance(11)
    with pytest.raises(gresque.JobExpired):
        jobs.drain()
    assert jobs.drain() == 1
    assert not seen


def test_a_job_of_another_program_cannot_run(jobs: FakeJobs) -> None:
    gresque.enqueue_to("low", "Ruby::Job", 1)
    with pytest.raises(gresque.UnknownJob, match="Ruby::Job"):
        jobs.drain()


def test_a_job_without_end_is_stopped(jobs: FakeJobs, own_registry: None) -> None:
    @gresque.job("q", name="fake.again")
    def again() -> None:
        again.enqueue()

    again.enqueue()
    assert "does a job enqueue itself?" in message(jobs.drain, limit=5)


def test_clear_forgets_all(jobs: FakeJobs) -> None:
    send.enqueue(1)
    jobs.clear()
    assert jobs.drain() == 0
