"""`gresque.current_job()` at every place where code of a job runs."""

from __future__ import annotations

import json
from typing import Any

from tests.process.current_jobs import PLACES
from tests.process.support import Bench


def which(bench: Bench) -> dict[str, Any]:
    return {place.decode(): json.loads(job) for place, job in bench.redis.hgetall("which").items()}


def work(bench: Bench, threads: int = 1) -> dict[str, Any]:
    bench.run(
        "-r", "tests.process.current_jobs", "-q", "q", "-t", str(threads), "-j", "99", "--burst"
    )
    return which(bench)


def test_the_job_and_all_that_it_starts_know_which_one_it_is(bench: Bench) -> None:
    ids = {place: bench.client.enqueue_to("q", "Which", place) for place in PLACES}
    bench.client.enqueue_to("q", "Outside")
    bench.client.enqueue_to("q", "Until", "outlived")  # a burst ends with its last job
    found = work(bench, threads=20)
    assert found.pop("callback") is None
    assert found.pop("after_fork") is None
    assert found.pop("worker_exit") is None
    assert found.pop("before_perform")[1] == "Which"
    inner = found.pop("inline")
    assert inner[1:3] == ["Inner", "inner"]
    assert inner[0] != ids["inline"]
    assert found.pop("after inline") == [ids.pop("inline"), "Which", "q", 1, 1, 0]
    assert found == {place: [job_id, "Which", "q", 1, 1, 0] for place, job_id in ids.items()}


def test_a_failure_belongs_to_its_job(bench: Bench) -> None:
    job_id = bench.client.enqueue_to("q", "Which", "fail")
    found = work(bench)
    assert {found[place][0] for place in ("before_perform", "on_failure", "__str__")} == {job_id}
