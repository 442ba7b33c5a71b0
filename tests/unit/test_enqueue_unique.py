"""Unique jobs are enqueued once: by lock, rule and place of the job that holds the lock."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis

import gresque
from gresque.errors import DuplicateJob
from gresque.jobs.ids import JobId
from gresque.store.store import Store
from tests.support.unique_jobs import (
    LOCK,
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


# One job


@pytest.mark.parametrize("mode", ["queued", "both"])
def test_the_first_job_takes_the_lock(
    client: gresque.Client, store: Store, redis_client: redis.Redis, mode: str
) -> None:
    before = int(store.now() * 1000)
    job_id = Enqueue(client, unique=mode)("all")
    assert (type(job_id), job_id.duplicate) == (JobId, False)
    (raw,) = store.queues.peek("q", 0, 9)
    item = json.loads(raw)
    assert item["id"] == job_id
    assert item["gresque"] == {"unique": [LOCK.rpartition(":")[2], mode]}
    found = lock(redis_client)
    assert before <= int(found.pop("since")) <= before + 5_000
    assert found == {
        "id": job_id, "mode": mode, "class": "Unique.sync", "key": "Unique.sync 7", "queue": "q",
    }  # fmt: skip
    assert 86_390_000 < redis_client.pttl(LOCK) <= 86_400_000
    assert store.queues.names() == ["q"]


def test_mode_running_takes_no_lock(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    enqueue = Enqueue(client, unique="running")
    ids = [enqueue("a"), enqueue("b"), enqueue("c", in_=3600)]
    assert not any(job_id.duplicate for job_id in ids)
    assert [name for name, _ in [*waiting(store), *delayed(store)]] == ids
    for raw in [*store.queues.peek("q", 0, 9), store.later.page(0, 1)[0].raw]:
        assert json.loads(raw)["gresque"]["unique"] == [LOCK.rpartition(":")[2], "running"]
    assert redis_client.keys("resque:unique:*") == []


def test_a_delayed_job_holds_its_lock_beyond_its_time(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    enqueue = Enqueue(client, unique="both", unique_ttl_seconds=60)
    job_id = enqueue("a", in_=3600)
    assert enqueue("b") == job_id
    assert delayed(store) == [(job_id, [7, "a"])]
    assert 3_650_000 < redis_client.pttl(LOCK) <= 3_660_000
    assert lock(redis_client)["ttl"] == "60000"
    assert store.queues.names() == []


def test_times_that_are_past(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    job_id = Enqueue(client, unique="both", at=1, unique_ttl_seconds=60)("a")
    assert waiting(store) == [(job_id, [7, "a"])]
    assert lock(redis_client)["ttl"] == "60000"
    assert 50_000 < redis_client.pttl(LOCK) <= 60_000


# Duplicates

PLACES = ["list", "later", "started", "gone"]
DROPPED, REPLACED, AGAIN, ENQUEUED = "dropped", "replaced", "again", "enqueued"


def outcome(on_duplicate: str, mode: str, place: str) -> str:
    if place == "gone" or (mode == "queued" and place == "started"):
        return ENQUEUED
    if on_duplicate == "replace":
        return AGAIN if place == "started" else REPLACED
    return {"drop": DROPPED, "raise": DROPPED, "again": AGAIN}[on_duplicate]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("on_duplicate", ["drop", "raise", "replace", "again"])
@pytest.mark.parametrize("mode", ["queued", "both"])
def test_a_duplicate(
    client: gresque.Client,
    store: Store,
    redis_client: redis.Redis,
    mode: str,
    on_duplicate: str,
    place: str,
) -> None:
    """By mode, rule and place of the holder: two more triggers, `b` and `c`."""
    enqueue = Enqueue(client, unique=mode, on_duplicate=on_duplicate)
    first = enqueue("a", **({"in_": 3600} if place == "later" else {}))
    due = redis_client.zscore("resque:later", first)
    if place == "started":
        start(store, redis_client)
    if place == "gone":
        redis_client.delete(LOCK)
    before = lock(redis_client)
    expected = outcome(on_duplicate, mode, place)
    if expected == DROPPED and on_duplicate == "raise":
        for part in "bc":
            with pytest.raises(DuplicateJob, match=r"job Unique\.sync is not enqueued") as raised:
                enqueue(part)
            assert raised.value.job_id == first
        second, third = first, first
    else:
        second = enqueue("b")
        if expected == ENQUEUED and on_duplicate == "raise":
            with pytest.raises(DuplicateJob):
                enqueue("c")
            third = second
        else:
            third = enqueue("c")
    found = lock(redis_client)
    jobs = [*waiting(store), *delayed(store)]
    if expected == DROPPED:
        assert found == before
        assert (second, third) == (first, first)
        assert jobs == ([] if place == "started" else [(first, [7, "a"])])
    elif expected == REPLACED:
        assert (second, third, second.duplicate, third.duplicate) == (first, first, True, True)
        if place == "later":
            assert found == before
            assert jobs == [(first, [7, "c"])]
            assert redis_client.zscore("resque:later", first) == due
        else:
            payload = found.pop("payload")
            assert found == before
            assert (json.loads(payload)["id"], args(payload)) == (first, [7, "c"])
            assert jobs == [(first, [7, "a"])]
    elif expected == AGAIN:
        assert second != first
        assert (second.duplicate, third, third.duplicate) == (False, second, True)
        again = found.pop("again")
        assert (json.loads(again)["id"], args(again)) == (second, [7, "c"])
        assert found == before | {"again_id": second}
        assert jobs == ([] if place == "started" else [(first, [7, "a"])])
    else:
        assert second != first
        assert not second.duplicate
        assert found["id"] == second


def test_a_holder_that_does_not_take_another_payload(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    """It was enqueued by another rule, so its start would not look into the lock."""
    enqueue = Enqueue(client, unique="both")
    first = enqueue("a")
    second = enqueue("b", on_duplicate="replace")
    assert (second == first, second.duplicate) == (False, False)
    assert args(lock(redis_client)["again"]) == [7, "b"]
    assert waiting(store) == [(first, [7, "a"])]


def test_a_retry_that_waits_is_replaced_in_place(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    """It has started once, and will start again: with the latest arguments, by the same id."""
    enqueue = Enqueue(client, unique="both", on_duplicate="replace")
    first = enqueue("a")
    start(store, redis_client)
    raw = b'{"class":"Unique.sync","args":[7,"a"],"id":"%b","generation":1}' % first.encode()
    redis_client.zadd("resque:later", {first: 5e12})
    redis_client.hset("resque:later:jobs", first, b"14:resque:queue:x" + raw)
    assert enqueue("b") == first
    assert delayed(store) == [(first, [7, "b"])]
    assert store.later.page()[0].queue == "x"
    assert lock(redis_client)["replace"] == "1"


def test_the_next_run_gets_the_latest_arguments_also_where_it_waits_in_the_lock(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    """A trigger during the run, then the run is to be tried again."""
    enqueue = Enqueue(client, unique="both", on_duplicate="replace")
    first = enqueue("a")
    start(store, redis_client)
    second = enqueue("b")
    redis_client.zadd("resque:later", {first: 5e12})
    redis_client.hset("resque:later:jobs", first, b'14:resque:queue:x{"args":["a"]}')
    assert enqueue("c") == second
    assert args(lock(redis_client)["again"]) == [7, "c"]
    assert delayed(store) == [(first, ["a"])]


def test_a_payload_in_the_lock_does_not_outlive_a_later_one(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    """The job waited in its queue, and was put off unstarted: its code was not there yet."""
    enqueue = Enqueue(client, unique="queued", on_duplicate="replace")
    first = enqueue("a")
    enqueue("b")
    raw = redis_client.lpop("resque:queue:q")
    redis_client.zadd("resque:later", {first: 5e12})
    redis_client.hset("resque:later:jobs", first, b"14:resque:queue:q" + raw)
    assert enqueue("c") == first
    assert "payload" not in lock(redis_client)
    assert delayed(store) == [(first, [7, "c"])]


def test_replaced_arguments_take_over_the_time_of_the_job(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    """Its age, and when it is too late to run, count from the time at which it is due."""
    job = gresque.job("q", name="Unique.expiring", expires_seconds=60)(sync._function)
    options: dict[str, Any] = {"unique": "both", "on_duplicate": "replace", "unique_key": of_site}
    client.options(job, in_=3600, **options).enqueue(7, "a")
    due = store.later.page()[0].due_ms / 1000
    client.options(job, **options).enqueue(7, "b")
    item = json.loads(store.later.page()[0].raw)
    assert item["args"] == [7, "b"]
    assert item["gresque"]["run_at"] == pytest.approx(due, abs=0.002)
    assert item["expires_at"] == pytest.approx(due + 60, abs=5)
    # The other way: the job waits in its queue, and the trigger is a delayed one.
    redis_client.flushdb()
    client.options(job, **options).enqueue(7, "a")
    client.options(job, in_=3600, **options).enqueue(7, "b")
    (key,) = redis_client.keys("resque:unique:*")
    item = json.loads(redis_client.hget(key, "payload"))
    assert item["gresque"]["run_at"] == pytest.approx(store.now(), abs=5)
    assert item["expires_at"] == pytest.approx(store.now() + 60, abs=5)


def test_an_argument_that_looks_like_the_envelope(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    tricky = '"id":"x","run_at":1,"expires_at":5}'
    enqueue = Enqueue(client, unique="both", on_duplicate="replace")
    first = enqueue("a", in_=3600)
    enqueue(tricky)
    assert delayed(store) == [(first, [7, tricky])]


def test_another_key_is_another_job(client: gresque.Client, store: Store) -> None:
    first = client.options(sync, unique="both").enqueue(7)
    second = client.options(sync, unique="both").enqueue(8)
    third = client.options(sync, unique="both").enqueue(site=7)
    assert first != second
    assert third == first
    assert len(waiting(store)) == 2


def test_the_names_of_longjob(redis_url: str, store: Store, redis_client: redis.Redis) -> None:
    gresque.configure(redis_url)
    first = sync.enqueue_unique(7)
    assert first is not None
    assert sync.enqueue_unique(7) == first
    again = sync.enqueue_debounce(7)
    assert again not in (None, first)
    assert sync.enqueue_debounce(7) == again
    (key,) = redis_client.keys("resque:unique:*")
    assert lock(redis_client, key.decode())["again_id"] == again

    class Archive(gresque.Job):
        queue = "q"
        name = "Unique.Archive"
        unique = "queued"
        unique_key = of_site

        def perform(site: int, part: str) -> None: ...

    first = Archive.enqueue_unique(7, "a")
    assert Archive.enqueue_unique(7, "b") == first
    assert Archive.enqueue_debounce(7, "c") not in (None, first)


@pytest.mark.parametrize("rule", ["again", "replace"])
def test_a_lock_that_keeps_arguments_does_not_expire(
    client: gresque.Client, redis_client: redis.Redis, rule: str
) -> None:
    """They would be lost with it. When they have left it, it lives for its time again."""
    enqueue = Enqueue(client, unique="both", on_duplicate=rule, unique_ttl_seconds=60)
    enqueue("a")
    assert redis_client.pttl(LOCK) <= 60_000
    enqueue("b")
    assert lock(redis_client).keys() & {"again", "payload"}
    assert redis_client.pttl(LOCK) > 1_000 * 86_400_000
