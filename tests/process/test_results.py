"""Results, states and progress of tracked jobs with real workers, which die and shut down."""

from __future__ import annotations

import os
import signal
import time

import pytest

import gresque
from gresque.client.results import Status
from gresque.failure.backend import open_backend
from tests.process import tracked_jobs as jobs
from tests.process.support import Bench, Master, wait_for

OURS = "tests.process.tracked_jobs"


def work(bench: Bench, *arguments: str, **env: str) -> Master:
    return bench.start("-q", "q", "-r", OURS, "-j", "1000", *arguments, **env)


def runs(bench: Bench, job_id: str) -> Status:
    """Its state once it runs, and has said how far it is."""

    def status() -> Status | None:
        found = bench.client.status(job_id)
        return found if found.state == "running" and found.progress else None

    found: Status = wait_for(status)
    return found


def test_results_failures_and_what_cannot_be_kept(bench: Bench) -> None:
    work(bench, "-t", "10")
    client = bench.client
    one = str(client.enqueue(jobs.add, 1, 2))
    bad = str(client.enqueue(jobs.fails))
    odd = str(client.enqueue(jobs.no_json))
    late = str(client.enqueue(jobs.dropped))
    assert client.result(one, timeout=30) == {"sum": 3}
    status = client.status(one)
    assert (status.state, status.attempt, status.queue, status.job_class) == (
        "done",
        1,
        "q",
        "TrackedAdd",
    )
    assert status.enqueued_at is not None
    assert status.started_at is not None
    assert status.ended_at is not None
    assert status.enqueued_at - 1 < status.started_at <= status.ended_at <= time.time() + 1
    with pytest.raises(gresque.JobFailed, match="ValueError: no") as caught:
        client.result(bad, timeout=30)
    assert "in `fails'" in caught.value.traceback
    assert client.status(bad).attempt == 2
    with pytest.raises(
        gresque.JobFailed, match="UnserializableResult: TrackedNoJson: its result is a set"
    ):
        client.result(odd, timeout=30)
    assert bench.redis.get("no_json") == b"1"  # it has run: it is not tried again
    assert {entry.exception for entry in bench.failed()} == {"ValueError", "UnserializableResult"}
    with pytest.raises((gresque.JobCancelled, AssertionError)):
        client.result(late, timeout=30)
        assert client.status(late).state == "done"  # a worker took it up in time
    ttl = bench.redis.pttl(f"resque:job:{one}")
    assert 0 < ttl <= 60_000


def test_a_process_that_a_job_forks_says_nothing(bench: Bench) -> None:
    work(bench)
    job_id = str(bench.client.enqueue(jobs.forks))
    assert bench.client.result(job_id, timeout=30) == 2 + False
    assert bench.client.status(job_id).progress is None


def test_how_large_a_result_may_be_is_a_setting(bench: Bench) -> None:
    work(bench, RESULT_MAX_BYTES="9")
    fits, over = (str(bench.client.enqueue(jobs.add, number, 0)) for number in (1, 10))
    assert bench.client.result(fits, timeout=30) == {"sum": 1}
    with pytest.raises(gresque.JobFailed, match="has 10 bytes as JSON, the limit is 9"):
        bench.client.result(over, timeout=30)


def test_a_job_whose_process_is_killed(bench: Bench) -> None:
    """running, queued, running, done: at its first attempt, and its result comes to who waits."""
    master = work(bench, "-t", "10")
    job_id = str(bench.client.enqueue(jobs.waits))
    first = runs(bench, job_id)
    assert first.progress is not None
    assert (first.progress.total, first.progress.note) == (10, "so far")
    assert first.worker is not None
    master.signal(signal.SIGSTOP)  # so that nobody recovers it before this test has looked
    os.kill(int(first.worker.rsplit(":", 2)[1]), signal.SIGKILL)
    states = []
    master.signal(signal.SIGCONT)

    def again() -> bool:
        found = bench.client.status(job_id)
        if not states or states[-1] != found.state:
            states.append(found.state)
        return found.state == "running" and found.worker != first.worker

    wait_for(again)
    assert states in (["running", "queued", "running"], ["queued", "running"], ["running"])
    bench.let()
    assert bench.client.result(job_id, timeout=30) == "let"
    last = bench.client.status(job_id)
    assert (last.state, last.attempt) == ("done", 1)
    assert last.progress == gresque.Progress(10, 10, "")
    assert last.worker != first.worker


def test_a_job_that_a_shutdown_puts_back(bench: Bench) -> None:
    master = work(bench, "-t", "10")
    job_id = str(bench.client.enqueue(jobs.waits))
    runs(bench, job_id)
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    status = bench.client.status(job_id)
    assert (status.state, status.worker, status.progress) == ("queued", None, None)
    bench.let()
    work(bench, "-t", "10")
    assert bench.client.result(job_id, timeout=30) == "let"


def test_a_retry_by_hand(bench: Bench) -> None:
    work(bench, "-t", "10")
    job_id = str(bench.client.enqueue(jobs.fails))
    with pytest.raises(gresque.JobFailed):
        bench.client.result(job_id, timeout=30)
    for number in (2, 3):
        backend = open_backend("redis", bench.client.store)
        if number == 2:
            assert backend.retry([*backend.find_ids([job_id]).values()]) == [True]
        else:
            assert backend.retry_all().retried == 1
        ended = bench.client.status(job_id).ended_at
        with pytest.raises(gresque.JobFailed):
            bench.client.result(job_id, timeout=30)
        assert ended is None or ended <= (bench.client.status(job_id).ended_at or 0)
        wait_for(lambda n=number: len(bench.failed()) == n)  # type: ignore[misc]


def test_jobs_that_wait_for_jobs(bench: Bench) -> None:
    """Over one connection for each native thread, in greenlets of a worker."""
    work(bench, "-t", "50")
    bench.client.enqueue(jobs.asks, 40)
    wait_for(lambda: bench.redis.exists("asked") or bench.failed())
    assert not bench.failed()
    assert bench.redis.get("asked") == b"1"
    assert bench.redis.get("inside") == b"1"


def test_memory_is_bounded_by_the_time(bench: Bench) -> None:
    """Each key of a tracked job goes by itself."""
    work(bench, "-t", "20")
    ids = bench.client.enqueue_many(jobs.brief, [(number,) for number in range(2000)])
    states = bench.client.wait(ids, timeout=30, count=1)
    assert states
    wait_for(lambda: bench.stat("processed") == 2000)
    wait_for(lambda: not bench.redis.keys("resque:job:*"))
    with pytest.raises(gresque.NotKnown):
        bench.client.result(ids[0])
