"""Classes whose jobs fail now."""

from __future__ import annotations

from dataclasses import replace

import pytest
import redis

from gresque.inspector.findings.failing import ENTRIES, MOST_BYTES, RETRIES, failing
from gresque.jobs.attempts import failed_attempt, snoozed, unknown_here
from gresque.store.later_job import LaterJob
from gresque.store.store import Store
from tests.support.views import fail, item, said, view


def test_the_most_frequent_first(store: Store, redis_client: redis.Redis) -> None:
    fail(redis_client, "Old", 50, age=400)
    fail(redis_client, "Sometimes", 3, age=200)
    fail(redis_client, "Often", 20)
    fail(redis_client, "Once", 1)
    first, second = failing(view(store))
    assert first.message == "Often failed 20 times in 5 min with ValueError: no route to host"
    assert (first.level, second.level) == ("broken", "warning")
    assert first.commands == ("gresque failed list --class Often",)
    assert second.message.startswith("Sometimes failed 3 times")
    assert first.details["exceptions"] == {"ValueError": 20}
    assert first.details["share_of_all"] == 1


def test_many_classes_that_fail_once_each(store: Store, redis_client: redis.Redis) -> None:
    fail(redis_client, "Hidden", 500, age=60)
    for number in range(9):
        fail(redis_client, f"C{number}", 1)
    assert len([*failing(view(store))]) == 1, "some single failures are everyday"
    for number in range(9, ENTRIES):
        fail(redis_client, f"C{number}", 1)
    (finding,) = failing(view(store))
    assert finding.is_broken
    assert said(finding) == (
        "jobs of 1,000 classes failed 1,000 times in N s, no class more than twice, 1,000 "
        "times with ValueError"
    )
    assert finding.commands == ("gresque failed groups",)


@pytest.mark.parametrize(("count", "broken"), [(20, False), (100, True)])
def test_a_small_share_of_all_jobs(
    store: Store, redis_client: redis.Redis, count: int, broken: bool
) -> None:
    fail(redis_client, "Often", count)
    found = view(store)
    # 100 jobs a second end, of which 0.3 at most fail.
    busy = replace(found, before=replace(found.before, processed=-100))
    (finding,) = failing(busy)
    assert finding.is_broken is broken


def test_more_failures_than_are_read(store: Store, redis_client: redis.Redis) -> None:
    fail(redis_client, "Often", 5000, age=10)
    fail(redis_client, "Often", ENTRIES - 1, age=2)
    (finding,) = failing(view(store))
    assert finding.details["count"] == ENTRIES
    assert 9 <= finding.details["seconds"] <= 60, "the rate is that of the time they are from"
    assert said(finding).startswith("Often failed 1,000 times in N s")


def test_more_than_are_read_of_one_of_several_lists(
    store: Store, redis_client: redis.Redis
) -> None:
    for name, count in (("a", 5000), ("b", 1)):
        redis_client.sadd("resque:failed_queues", f"{name}_failed")
        fail(redis_client, "Often", count, age=10, key=f"resque:{name}_failed")
    (finding,) = failing(view(store, "redis_multi_queue"))
    assert finding.details["count"] == ENTRIES // 2 + 1
    assert finding.details["seconds"] <= 60


def test_entries_that_are_too_large_to_read_many(store: Store, redis_client: redis.Redis) -> None:
    fail(redis_client, "Often", 1, age=10)
    raw = redis_client.lpop("resque:failed") + b" " * (MOST_BYTES // 20)
    redis_client.rpush("resque:failed", *[raw] * 50)
    (finding,) = failing(view(store))
    assert 20 <= finding.details["count"] <= 22
    assert finding.details["seconds"] <= 60


def waits(store: Store, number: int, raw: bytes | None, due: float = 60) -> None:
    """In `later`."""
    assert raw is not None
    store.redis.zadd(store.keys.later, {f"{number}": int((store.now() + due) * 1000)})
    entry = LaterJob("", 0, "mail", raw).entry(store.keys)
    store.redis.hset(store.keys.later_jobs, f"{number}", entry)


def test_those_that_are_tried_again(store: Store, redis_client: redis.Redis) -> None:
    now = store.now()
    for number in range(120):
        waits(store, number, failed_attempt(item("Often"), "app.Busy", "try later", now, 60))
    for number in range(200, 210):
        # Failed long ago; snoozed; only delayed; of no worker that knows it; no job.
        waits(store, number, failed_attempt(item("Old"), "app.Busy", "no", now - 400, 60))
        waits(store, number + 10, snoozed(item("Snoozed"), now, 60))
        waits(store, number + 20, item("Delayed"))
        waits(store, number + 30, unknown_here(item("Unknown"), now, 60))
        waits(store, number + 40, b"rubbish")
    (finding,) = failing(view(store))
    assert finding.is_broken
    assert finding.message == (
        "Often failed 120 times in 5 min with app.Busy: try later; all to be tried again"
    )
    assert finding.commands == ("gresque retries --class Often",)
    fail(redis_client, "Often", 5)
    (finding,) = failing(view(store))
    assert finding.message.startswith("Often failed 125 times in 5 min with app.Busy and 1 more: ")
    assert finding.message.endswith("; 120 of them to be tried again")
    assert finding.commands == ("gresque failed list --class Often",)


def test_not_all_that_waits_is_read(store: Store, redis_client: redis.Redis) -> None:
    for number in range(RETRIES + 200):
        waits(store, number, failed_attempt(item("Often"), "app.Busy", "", store.now(), 60), number)
    (finding,) = failing(view(store))
    assert finding.details["tried_again"] == RETRIES


def test_what_an_operator_killed_is_no_failure(store: Store, redis_client: redis.Redis) -> None:
    killed = "Job was killed: an operator killed it by its id"
    fail(redis_client, "Hung", 300, exception="DirtyExit", error=killed)
    assert list(failing(view(store))) == []
    fail(redis_client, "Slow", 300, exception="DirtyExit", error="Job was killed: it took 9 s")
    (finding,) = failing(view(store))
    assert finding.message.startswith("Slow failed 300 times")


def test_a_single_job_that_took_processes_along(store: Store, redis_client: redis.Redis) -> None:
    fail(redis_client, "Crash", 1, exception="PoisonJob")
    (finding,) = failing(view(store))
    assert finding.message.startswith("Crash failed 1 time in 5 min with PoisonJob")


@pytest.mark.parametrize("lists", [2, 60])
def test_a_list_for_each_queue(store: Store, redis_client: redis.Redis, lists: int) -> None:
    for number in range(lists):
        redis_client.sadd("resque:failed_queues", f"q{number}_failed")
        fail(redis_client, "Old", 5, age=400, key=f"resque:q{number}_failed")
    fail(redis_client, "Often", 12, key="resque:q1_failed")
    (finding,) = failing(view(store, "redis_multi_queue"))
    assert finding.message.startswith("Often failed 12 times")


def test_entries_of_no_class_and_no_entries(store: Store, redis_client: redis.Redis) -> None:
    redis_client.rpush("resque:failed", "rubbish", "[]", "{}")
    fail(redis_client, "\x1b[2J", 4)
    redis_client.rpush("resque:failed", "rubbish", b"\xff", '{"failed_at":"2999"}')
    (finding,) = failing(view(store))
    assert finding.message.startswith(r"\x1b[2J failed 4 times")
    assert "\x1b" not in "".join(finding.commands)
