"""Jobs that wait to run again, read out of `later`."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import redis

from gresque.inspector.findings.retries import unknown
from gresque.inspector.findings.view import View
from gresque.inspector.look import Counts, Look
from gresque.inspector.retries import WaitingRetries, WantedRetries
from gresque.jobs import payload
from gresque.jobs.attempts import failed_attempt, snoozed, unknown_here
from gresque.store.later_job import LaterJob
from gresque.store.store import Store

NOW = time.time()


def wait(store: Store, name: str, raw: bytes | None, queue: str = "web", due: float = 60) -> str:
    """Returns the id under which it waits."""
    assert raw is not None
    job_id = f"{name[:1].encode().hex()}{len(name):030x}"
    keys = store.keys
    store.redis.zadd(keys.later, {job_id: int((NOW + due) * 1000)})
    store.redis.hset(keys.later_jobs, job_id, LaterJob("", 0, queue, raw).entry(keys))
    return job_id


def job(name: str, **envelope: Any) -> bytes:
    return payload.encode(name, (1,), None, "id", envelope=envelope or None)


@pytest.fixture
def waiting(store: Store) -> Store:
    """One of each kind, and what is no retry."""
    once = failed_attempt(job("app.fails"), "ValueError", "no", NOW, 60)
    assert once is not None
    wait(store, "app.fails", failed_attempt(once, "app.Busy", "try\nlater", NOW, 60), due=90)
    wait(store, "app.snoozes", snoozed(job("app.snoozes"), NOW, 30), "mail", due=30)
    wait(store, "app.unknown!", unknown_here(job("app.unknown!"), NOW - 40, 5), due=5)
    wait(store, "later", job("later", run_at=NOW + 10), due=10)
    wait(store, "other", b"no json", due=20)
    return store


def test_what_waits_and_why(waiting: Store) -> None:
    found = list(WaitingRetries(waiting).each())
    assert [each.name for each in found] == ["app.unknown!", "app.snoozes", "app.fails"]
    assert [each.attempt for each in found] == [1, 1, 3]
    assert [each.queue for each in found] == ["web", "mail", "web"]
    assert [each.exception for each in found] == ["UnknownJob", None, "app.Busy"]
    assert [each.reason for each in found] == [
        "no worker that took it knows its name", "put off 1 time in a row", "app.Busy: try\nlater",
    ]  # fmt: skip
    shown = json.loads(json.dumps(found[-1].as_dict()))
    assert [each["message"] for each in shown["errors"]] == ["no", "try\nlater"]
    assert abs(found[-1].due.timestamp() - NOW - 90) < 1


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({"job_class": "app.fails"}, ["app.fails"]), ({"queue": "mail"}, ["app.snoozes"]),
        ({"exception": "UnknownJob"}, ["app.unknown!"]), ({"exception": "ValueError"}, []),
        ({"queue": "web", "exception": "app.Busy"}, ["app.fails"]),
    ],
    ids=range(5),
)  # fmt: skip
def test_some_of_them(waiting: Store, wanted: dict[str, str], names: list[str]) -> None:
    found = WaitingRetries(waiting).each(WantedRetries(**wanted))
    assert [each.name for each in found] == names


def test_run_now_and_cancel(waiting: Store, redis_client: redis.Redis) -> None:
    retries = WaitingRetries(waiting)
    unknown_job, snoozed_job, failed_job = retries.each()
    jobs = retries.jobs
    assert jobs.cancel(unknown_job.job) and not jobs.cancel(unknown_job.job)
    assert jobs.run_now(failed_job.job) and not jobs.run_now(failed_job.job)
    assert not jobs.cancel(failed_job.job)
    (item,) = map(json.loads, redis_client.lrange("resque:queue:web", 0, -1))
    assert (item["class"], item["gresque"]["attempt"]) == ("app.fails", 3)
    assert [each.id for each in retries.each()] == [snoozed_job.id]
    found = retries.find(snoozed_job.id)
    assert found is not None and found.snoozes == 1
    assert retries.find("none") is None
    assert [retries.find(each.id) for each in retries.jobs.each() if each.name == "later"] == [None]


def test_the_status_names_unknown_jobs(waiting: Store) -> None:
    wait(waiting, "app.unknown!!", unknown_here(job("app.unknown!"), NOW - 20, 5), due=4)
    view = View(waiting, "redis", Counts.take(waiting), Look.take(waiting, "redis"))
    (found,) = unknown(view)
    assert found.message.startswith("no worker knows app.unknown!: 2 jobs wait for its code, for ")
    assert found.commands == ("gresque retries --class 'app.unknown!'",)
