"""The arguments of unique jobs are replaced while workers take these jobs."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest

import gresque
from tests.process import unique_jobs as jobs
from tests.process.support import Bench, wait_for
from tests.process.test_unique import is_idle

OURS = "tests.process.unique_jobs"


@pytest.mark.parametrize(
    ("mode", "on_duplicate"), [("queued", "replace"), ("both", "replace"), ("both", "again")]
)
def test_the_last_arguments_run(bench: Bench, mode: str, on_duplicate: str) -> None:
    """A trigger comes before, with, or after the start of the job that holds the lock."""
    master = bench.start("-q", "q", "-r", OURS, "-w", "2", "-t", "3", "-j", "10000")
    bench.client.enqueue(jobs.queued, "first")
    wait_for(lambda: bench.stat("processed") == 1)

    def program(name: str) -> None:
        with closing(gresque.Client(bench.redis_url)) as client:
            job = client.options(jobs.replaced, unique=mode, on_duplicate=on_duplicate)
            for value in range(1, 201):
                assert job.enqueue(name, value)

    programs = [threading.Thread(target=program, args=(name,)) for name in "abc"]
    for each in programs:
        each.start()
    for each in programs:
        each.join()
    wait_for(lambda: is_idle(bench))
    for name in "abc":
        values = [int(value) for value in bench.redis.lrange(f"order:{name}", 0, -1)]
        assert 200 in values
        assert len(values) == len(set(values)), "none runs twice"
        if mode == "both":
            assert values == sorted(values), "one after the other, the latest at the end"
    assert not bench.redis.keys("resque:unique:*")
    assert not bench.failed()
    master.process.terminate()
    assert master.wait() == 0
