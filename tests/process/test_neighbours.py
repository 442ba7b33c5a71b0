"""A worker beside programs in Ruby, Node and PHP: their jobs run, and they can read and requeue
what it leaves."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from gresque.jobs import payload
from gresque.jobs.ids import new_id
from tests.process.support import Bench, wait_for
from tests.support.activejobs import ITEMS, wrap
from tests.support.neighbours import FAILED, Stock, dumps

JOBS = "tests.process.neighbour_jobs"
WORKER = ("--burst", "-r", JOBS, "-j", "100")

THEIRS: list[tuple[dict[str, Any], list[Any]]] = [
    # stock and fork, node (which names the queue), PHP (one object, or null)
    ({"class": "NeighbourEcho", "args": [1, "ünï", None]}, ["echo", [1, "ünï", None], {}]),
    (
        {"class": "NeighbourEcho", "args": [{"k": 1}], "id": "a" * 32, "generation": 1},
        ["echo", [{"k": 1}], {}],
    ),
    ({"class": "NeighbourEcho", "queue": "py", "args": [[2], {}]}, ["echo", [[2], {}], {}]),
    (
        {"class": "NeighbourEcho", "args": [{"a": 1}], "id": "b", "prefix": "", "queue_time": 1.5},
        ["echo", [{"a": 1}], {}],
    ),
    ({"class": "NeighbourEcho", "args": [None], "id": "c"}, ["echo", [None], {}]),
    ({"class": "NeighbourEcho"}, ["echo", [], {}]),
    ({"class": "NeighbourEcho", "args": [1, {"k": 2, "_kwargs": True}]}, ["echo", [1], {"k": 2}]),
    ({"class": "NeighbourRuby", "args": ["c1", {"amount": 5}]}, ["ruby", "c1", 5]),
]
RAILS = [
    ["mail", [1, "zwei", {"k": 1}], {"sym": "bol", "kw": 2}, "rb"],
    ["mail", [1.5, None, "sym", "1970-01-01 00:00:00+00:00", 10**30], {}, "rb"],
]


def seen(bench: Bench) -> list[str]:
    return sorted(json.dumps(json.loads(raw)) for raw in bench.redis.lrange("seen", 0, -1))


def expected(found: list[Any]) -> list[str]:
    return sorted(json.dumps(each) for each in found)


def test_their_jobs_run_with_their_arguments(bench: Bench) -> None:
    bench.push_raw("py", *(dumps(item) for item, _ in THEIRS), *ITEMS)
    bench.push_raw("py", wrap("FailingJob", [], executions=1), wrap("NoSuchJob", []))
    master = bench.run("-q", "py", *WORKER, UNKNOWN_JOB_GRACE_SECONDS="0")
    failing = [["failing", 2], ["failing", 3]]
    assert seen(bench) == expected([*(got for _, got in THEIRS), *RAILS, *failing])
    unknown = "no job of ActiveJob named 'NoSuchJob' is declared here"
    assert {entry.error.partition(";")[0] for entry in bench.failed()} == {"as told", unknown}
    assert "FailingJob" in master.log and "JobWrapper" not in master.log


BAD = [b"not json", b"\xff\x00", b'{"args":[1]}', b'{"class":"A","args":["\\ud800"]}']


def test_they_show_and_requeue_each_end_of_a_job(bench: Bench) -> None:
    """Exceptions, a timeout, a death, an expiry, unknown classes and what is no job: a page of Ruby
    shows each entry, its requeue brings each back with its keywords, and it fails as before."""
    stock = Stock(bench.redis)
    calls = [("raises", {"amount": 5}), ("spins", {}), ("dies", {})]
    jobs = [payload.encode("NeighbourEnds", [how], kwargs, new_id()) for how, kwargs in calls]
    late = payload.encode("NeighbourEcho", [], None, new_id(), expires_at=1.0)
    unknown = dumps({"class": "NeighbourNone", "args": [1]})
    bench.push_raw("py", *jobs, late, unknown, *BAD)
    settings = {"UNKNOWN_JOB_GRACE_SECONDS": "0", "MAX_RECOVERIES": "1"}
    bench.run("-q", "py", *WORKER, **settings)
    rows = stock.failed_page()
    kinds = Counter(row["exception"] for row in rows)
    assert kinds == {
        "ValueError": 1, "JobTimeout": 1, "PoisonJob": 1, "JobExpired": 1, "UnknownJob": 1,
        "InvalidPayload": len(BAD),
    }  # fmt: skip
    lone = [row["error"] for row in rows if "lone surrogate" in row["error"]]
    assert len(lone) == 1 and "\\ud800" in lone[0]
    stock.requeue_all()
    first = bench.redis.llen(FAILED)
    bench.run("-q", "py", *WORKER, **settings)
    again = [json.loads(raw) for raw in bench.redis.lrange(FAILED, first, -1)]
    kinds = Counter(entry["exception"] for entry in again)
    assert kinds["JobExpired"] == 0, "their payload has no time: it ran"
    assert kinds["InvalidPayload"] == len(BAD) and kinds["PoisonJob"] == 1
    kept = [entry["payload"] for entry in again if entry["exception"] == "ValueError"]
    assert [each["args"] for each in kept] == [["raises", {"amount": 5, "_kwargs": True}]]
    stock.failed_page()
    assert stock.info()["pending"] == 0


def test_a_pause_by_ruby_holds_for_a_process_of_one_job(bench: Bench) -> None:
    """It is read where the job would be taken, so the defaults (1/1/1) obey it as well."""
    stock = Stock(bench.redis)
    bench.redis.set("resque:pause-all-workers", " TRUE\n")
    bench.push_raw("py", dumps({"class": "NeighbourEcho", "args": [1]}))
    bench.start("-q", "py", "-r", JOBS)
    wait_for(lambda: stock.workers_page() and bench.redis.keys("resque:listening:*"))
    (row,) = stock.workers_page()
    assert (row["queues"], row["counts"], row["job"]) == (["py"], [0, 0], None)
    bench.push_raw("py", dumps({"class": "NeighbourEcho", "args": [2]}))
    assert bench.redis.llen("resque:queue:py") == 2 and bench.held() == 0
    bench.redis.delete("resque:pause-all-workers")
    wait_for(lambda: len(seen(bench)) == 2)
