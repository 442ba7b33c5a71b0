"""Debounced and throttled jobs."""

from __future__ import annotations

import json
import time

import redis

import gresque
from gresque.store.store import Store
from tests.support.unique_jobs import (
    LOCK,
    THROTTLE,
    Enqueue,
    args,
    delayed,
    lock,
    of_site,
    start,
    sync,
    waiting,
)

HOUR = 3_600_000


# Debounce


def test_each_trigger_puts_a_debounced_job_off(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    enqueue = Enqueue(client, unique=None, debounce=3600, max_wait=5400)
    first = enqueue("a")
    began = int(lock(redis_client)["first"])
    dues = [store.later.page()[0].due_ms]
    assert dues == [began + HOUR]
    for part in "bc":
        time.sleep(0.002)
        again = enqueue(part)
        assert (again, again.duplicate) == (first, True)
        dues.append(store.later.page()[0].due_ms)
    assert dues == sorted(set(dues))
    (job,) = store.later.page(0, 9)
    assert args(job.raw) == [7, "c"]
    assert json.loads(job.raw)["gresque"]["run_at"] == job.due_ms / 1000
    assert redis_client.pttl(LOCK) > 86_400_000
    # The end of the time for which it may be put off comes near.
    redis_client.hset(LOCK, "first", began - HOUR)
    enqueue("d")
    (job,) = store.later.page(0, 9)
    assert job.due_ms == began - HOUR + 5_400_000
    assert args(job.raw) == [7, "d"]
    redis_client.hset(LOCK, "first", began - 2 * HOUR)
    enqueue("e")
    assert store.later.page()[0].due_ms == began - 2 * HOUR + 5_400_000
    assert 86_000_000 < redis_client.pttl(LOCK) <= 86_400_000


def test_a_debounced_job_that_is_due_takes_the_latest_arguments(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    """It waits in its queue by now."""
    enqueue = Enqueue(client, unique=None, debounce=3600, max_wait=5400)
    first = enqueue("a")
    store.later.run_now(store.later.page()[0], store.later.page()[0].raw)
    assert enqueue("b") == first
    assert args(lock(redis_client)["payload"]) == [7, "b"]
    # It has started: the next trigger begins anew.
    redis_client.delete(LOCK, "resque:queue:q")
    second = enqueue("c")
    assert (second == first, second.duplicate) == (False, False)
    assert delayed(store) == [(second, [7, "c"])]


def test_a_debounced_job_that_waits_for_another_attempt_keeps_its_time(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    """Else a trigger would end the delay of the retry, as the longest wait is over."""
    enqueue = Enqueue(client, unique="both", debounce=1, max_wait=2)
    first = enqueue("a")
    start(store, redis_client)
    began = int(lock(redis_client)["first"])
    redis_client.hset(LOCK, "first", began - HOUR)
    redis_client.zadd("resque:later", {first: 5e12})
    redis_client.hset("resque:later:jobs", first, b'14:resque:queue:q{"args":[7,"a"]}')
    for part in "bc":
        assert enqueue(part) == first
        assert delayed(store) == [(first, [7, part])]
        assert store.later.page()[0].due_ms == 5e12


def test_a_trigger_while_a_debounced_job_runs(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    enqueue = Enqueue(client, unique="both", debounce=1, max_wait=2)
    first = enqueue("a")
    start(store, redis_client)
    second = enqueue("b")
    assert (second == first, second.duplicate) == (False, False)
    assert enqueue("c") == second
    assert args(lock(redis_client)["again"]) == [7, "c"]
    assert delayed(store) == waiting(store) == []


def test_debounced_jobs_of_one_call(client: gresque.Client, store: Store) -> None:
    job = client.options(sync, debounce=60, unique_key=of_site)
    first, second, other = job.enqueue_many([(7, "a"), (7, "b"), (8, "c")])
    assert (first == second, first.duplicate, second.duplicate) == (True, False, True)
    assert sorted(delayed(store)) == sorted([(first, [7, "b"]), (other, [8, "c"])])


# Throttle


def test_a_throttled_job_runs_once_in_its_time(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    enqueue = Enqueue(client, throttle=60)
    first = enqueue("a")
    assert [enqueue("b"), enqueue("c")] == [first, first]
    (raw,) = store.queues.peek("q", 0, 9)
    assert args(raw) == [7, "a"]
    assert "unique" not in json.loads(raw).get("gresque", {})
    found = lock(redis_client, THROTTLE)
    assert found["mode"] == "throttle"
    assert int(found["until"]) - int(found["since"]) == 60_000
    assert 50_000 < redis_client.pttl(THROTTLE) <= 60_000
    redis_client.delete(THROTTLE)
    assert not enqueue("d").duplicate


def test_a_trailing_job_runs_at_the_end_with_the_latest_arguments(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    enqueue = Enqueue(client, throttle=60, trailing=True)
    first = enqueue("a")
    second = enqueue("b")
    assert (second == first, second.duplicate) == (False, False)
    until = int(lock(redis_client, THROTTLE)["until"])
    third = enqueue("c")
    assert (third, third.duplicate) == (second, True)
    assert waiting(store) == [(first, [7, "a"])]
    (job,) = store.later.page(0, 9)
    assert (job.member, args(job.raw), job.due_ms) == (second, [7, "c"], until)
    assert json.loads(job.raw)["gresque"]["run_at"] == until / 1000
    assert 110_000 < redis_client.pttl(THROTTLE) <= 120_000
    # It is due, and began the next period.
    store.later.run_now(job, job.raw)
    redis_client.hset(THROTTLE, "until", until - 60_000)
    fourth = enqueue("d")
    assert (fourth == second, fourth.duplicate) == (False, False)
    found = lock(redis_client, THROTTLE)
    assert (found["id"], found["again_id"], int(found["until"])) == (second, fourth, until)
    assert store.later.page()[0].due_ms == until


def test_a_trailing_job_that_was_cancelled(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    enqueue = Enqueue(client, throttle=60, trailing=True)
    enqueue("a")
    second = enqueue("b")
    assert client.cancel(second)
    third = enqueue("c")
    assert (third == second, third.duplicate) == (False, False)
    assert delayed(store) == [(third, [7, "c"])]


def test_a_period_that_is_over_without_another_trigger(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    """The lock is there for the period of the trailing job, and that is over, too."""
    enqueue = Enqueue(client, throttle=60, trailing=True)
    enqueue("a")
    client.cancel(enqueue("b"))
    redis_client.hset(THROTTLE, "until", int(store.now() * 1000) - 90_000)
    third = enqueue("c")
    assert waiting(store)[-1] == (third, [7, "c"])
    found = lock(redis_client, THROTTLE)
    assert found["id"] == third
    assert "again_id" not in found
