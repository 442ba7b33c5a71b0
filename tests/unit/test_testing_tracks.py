"""States and results of tracked jobs in a fake."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

import gresque
import gresque.aio
from gresque.testing import FakeJobs, NotImitated, fake, perform

fails: list[Exception] = []
states: list[str] = []


@gresque.job("q", name="tracks.add", result_ttl_seconds=60, retries=1)
def add(one: Any, other: Any) -> Any:
    job = gresque.current_job()
    if job is not None and job.id is not None:
        states.append(gresque.status(job.id).state)
    if fails:
        raise fails.pop(0)
    return one + other


@gresque.job("q", name="tracks.odd", result_ttl_seconds=60)
def odd(number: int) -> Any:
    return {number}


@pytest.fixture
def jobs() -> Iterator[FakeJobs]:
    fails.clear()
    states.clear()
    with fake() as jobs:
        yield jobs


def test_a_result_is_there_after_the_job_has_run(jobs: FakeJobs) -> None:
    job_id = add.enqueue(1, 2)
    assert job_id is not None
    assert gresque.status(job_id).state == "queued"
    jobs.drain()
    assert states == ["running"]
    status = gresque.status(job_id)
    assert (status.state, status.job_class, status.queue) == ("done", "tracks.add", "q")
    assert gresque.result(job_id) == 3
    jobs.advance(61)
    with pytest.raises(gresque.NotKnown):
        gresque.result(job_id)


def test_a_job_that_waits_for_its_time_has_a_state(jobs: FakeJobs) -> None:
    job_id = add.enqueue_in(60, 1, 2)
    unique = add.options(unique="both").enqueue(3, 4)
    assert job_id and unique
    assert gresque.status(job_id).state == "later"
    assert gresque.status(unique).state == "queued"
    assert gresque.cancel(job_id)
    with pytest.raises(gresque.JobCancelled):
        gresque.result(job_id)
    assert gresque.status("0" * 32).state == "unknown"


def test_a_failure_and_its_next_attempt_are_known(jobs: FakeJobs) -> None:
    fails.extend([OSError("one"), OSError("two")])
    job_id = add.enqueue(1, 2)
    assert job_id is not None
    jobs.drain(retries=False)
    assert gresque.status(job_id).state == "retrying"
    jobs.advance(60)
    jobs.drain(raises=False)
    with pytest.raises(gresque.JobFailed, match="two"):
        gresque.result(job_id)


def test_to_wait_for_what_does_not_run_returns_at_once(jobs: FakeJobs) -> None:
    job_id = add.enqueue(1, 2)
    assert job_id is not None
    with pytest.raises(gresque.NotEnded):
        gresque.result(job_id, timeout=60)
    with pytest.raises(NotImitated, match=r"call drain\(\) before it"):
        gresque.result(job_id)


def test_a_result_that_cannot_be_kept_fails(jobs: FakeJobs) -> None:
    odd.enqueue(1)
    with pytest.raises(gresque.UnserializableResult):
        jobs.drain()
    with pytest.raises(gresque.UnserializableResult):
        perform(odd, 1)


def test_coroutines_ask_the_same(jobs: FakeJobs) -> None:
    async def ask() -> Any:
        async with gresque.aio.Client() as client:
            job_id = await client.aenqueue(add, 1, 2)
            assert job_id is not None
            with pytest.raises(gresque.NotEnded):
                await client.aresult(job_id, timeout=60)
            jobs.drain()
            assert (await client.astatus(job_id)).state == "done"
            return await client.aresult(job_id)

    assert asyncio.run(ask()) == 3
