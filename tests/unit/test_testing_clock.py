"""The clock of a fake is moved by a test, and goes back after it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import gresque
import gresque.testing.clock as test_clocks
from gresque.schedule.declared import declared
from gresque.testing import FakeJobs, approx, fake, frozen
from tests.support.faked_jobs import chained, fails, send
from tests.support.faked_jobs import jobs_fixture as jobs_fixture


def test_everything_follows_a_frozen_clock(jobs: FakeJobs) -> None:
    new_year = datetime(2027, 1, 1, tzinfo=UTC)
    with frozen(new_year) as clock:
        job_id = send.enqueue(1)
        assert gresque.enqueued_at(job_id) == new_year.timestamp()
        send.enqueue_in(60, 2)
        jobs.advance(59.999)
        assert jobs.drain() == 1
        jobs.advance(0.001)
        assert jobs.drain() == 1
        assert clock.at == new_year + timedelta(minutes=1)
        fails.append(OSError("no"))
        chained.enqueue(3)
        assert jobs.drain() == 1
        assert new_year < (jobs.only().at or new_year) < new_year + timedelta(minutes=2)
        jobs.advance(timedelta(minutes=1))
        assert jobs.drain() == 2
        fails.append(OSError("no"))
        chained.enqueue(3)
        assert jobs.drain(retries=True) == 3
    assert (
        abs((gresque.enqueued_at(gresque.enqueue(send, 1)) or 0) - datetime.now().timestamp()) < 9
    )


def test_a_clock_that_was_moved_goes_back() -> None:
    with fake() as jobs:
        jobs.advance(86_400)
        send.enqueue_in(60, 1)
        jobs.assert_enqueued(send, at=approx(timedelta(seconds=60)))
        due = jobs.only().at
    assert due and due > datetime.now(UTC) + timedelta(hours=23)
    with fake() as jobs:
        send.enqueue_in(60, 1)
        assert (jobs.only().at or due) < due - timedelta(hours=23)


def test_now_is_later_where_the_clock_was_moved() -> None:
    with fake() as jobs:
        jobs.advance(86_400)
        with frozen() as clock:
            assert clock.at > datetime.now(UTC) + timedelta(hours=23)


def test_a_fake_that_is_over_moves_nothing() -> None:
    """Its clock would stay moved, and jobs would enqueue on a real server."""
    with fake() as jobs:
        send.enqueue(1)
    for call in (jobs.drain, lambda: jobs.advance(60)):
        with pytest.raises(gresque.GresqueError, match="this fake is over: call"):
            call()
    assert len(jobs) == 1
    assert test_clocks.current is None
    jobs.assert_enqueued(send, 1)


def test_schedules_follow_when_a_test_wants_it(own_registry: None) -> None:
    ran: list[Any] = []

    @gresque.cron("0 3 * * *", tz="Europe/Berlin")
    @gresque.every(6 * 3600, name="fake.often")
    @gresque.job("reports", name="fake.nightly")
    def nightly() -> None:
        job = gresque.current_job()
        assert job and job.scheduled_for
        ran.append(job.scheduled_for.astimezone(UTC).hour)

    for cron in (True, False):
        with fake(cron=cron) as jobs, frozen(datetime(2027, 1, 1, tzinfo=UTC)):
            send.enqueue_in(3600, 1)
            jobs.advance(timedelta(hours=12))
            assert len(jobs.all(nightly)) == (3 if cron else 0)
            jobs.drain(queue="reports")
    declared.clear()
    assert ran == [2, 6, 12]
