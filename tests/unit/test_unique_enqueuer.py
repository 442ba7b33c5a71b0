"""Enqueueing unique jobs through refusals and outages, in bulks, and by many programs at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
import redis

import gresque
from gresque.connection.scripts import script
from gresque.errors import DuplicateJob, NotEnqueued
from gresque.jobs.ids import JobId
from gresque.store.store import Store
from tests.support.faults import FaultyProxy
from tests.support.server import OwnServer
from tests.support.unique_jobs import (
    LOCK,
    Enqueue,
    args,
    lock,
    of_site,
    sync,
    waiting,
)

HOUR = 3_600_000


# Refusals: nothing is half done


def kinds() -> dict[str, Callable[[Enqueue], JobId]]:
    return {
        "now": lambda enqueue: enqueue("a"),
        "delayed": lambda enqueue: enqueue("a", in_=3600),
    }


@pytest.mark.parametrize(
    ("key", "kind"),
    [("queues", "now"), ("queue:q", "now"), ("later", "delayed"), ("later:jobs", "delayed")],
)
def test_a_key_of_another_type_leaves_no_lock(
    client: gresque.Client, redis_client: redis.Redis, key: str, kind: str
) -> None:
    redis_client.set(f"resque:{key}", "x")
    enqueue = Enqueue(client, unique="both")
    with pytest.raises(NotEnqueued, match=f"resque:{key}"):
        kinds()[kind](enqueue)
    found = {name.decode() for name in redis_client.keys("*") if b"producer" not in name}
    assert found <= {f"resque:{key}", "resque:queues"}
    redis_client.delete(f"resque:{key}")
    assert not kinds()[kind](enqueue).duplicate


def test_a_lock_of_another_type(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    redis_client.set(LOCK, "x")
    with pytest.raises(NotEnqueued, match=LOCK):
        client.options(sync, unique="both", unique_key=of_site).enqueue_many([(6,), (7,)])
    assert store.queues.names() == []
    assert redis_client.keys("resque:unique:*") == [LOCK.encode()]


@pytest.mark.parametrize(
    ("right", "kind"),
    [
        *((right, "now") for right in ("-hset", "-pexpire", "-sadd", "-rpush")),
        *((right, "delayed") for right in ("-hmget", "-hset", "-pexpire", "-zadd")),
    ],
)
def test_a_missing_right_leaves_no_job_and_no_lock(
    client: gresque.Client, redis_client: redis.Redis, right: str, kind: str
) -> None:
    enqueue = Enqueue(client, unique="both")
    redis_client.execute_command("ACL", "SETUSER", "default", right)
    try:
        with pytest.raises(NotEnqueued, match="all other rights of a producer"):
            kinds()[kind](enqueue)
        found = [key for key in redis_client.keys("*") if b"producer" not in key]
        assert found in ([], [b"resque:queues"])
    finally:
        redis_client.execute_command("ACL", "SETUSER", "default", "+@all")
    assert not enqueue("a").duplicate


def test_a_full_server_takes_no_job_and_no_lock(own: OwnServer) -> None:
    with closing(gresque.Client(own.url, retry_seconds=0.2)) as client:
        job = client.options(sync, unique="both", on_duplicate="replace", unique_key=of_site)
        job.enqueue(7, "a")
        before = own.redis.hgetall(LOCK)
        own.redis.config_set("maxmemory", 1)
        for enqueue in (
            lambda: job.enqueue(7, "b"),
            lambda: job.enqueue(8, "a"),
            lambda: client.options(sync, debounce=5).enqueue(9),
        ):
            with pytest.raises(NotEnqueued, match="maxmemory"):
                enqueue()
        own.redis.config_set("maxmemory", 0)
        assert own.redis.hgetall(LOCK) == before
        assert own.redis.keys("resque:unique:*") == [LOCK.encode()]
        assert own.redis.llen("resque:queue:q") == 1
        assert not own.redis.exists("resque:later")


def test_a_server_without_scripts(client: gresque.Client, redis_client: redis.Redis) -> None:
    redis_client.execute_command("ACL", "SETUSER", "default", "-eval", "-evalsha")
    try:
        with pytest.raises(
            NotEnqueued, match="a unique job needs EVALSHA, EVAL and all other rights"
        ):
            Enqueue(client, unique="both")("a")
    finally:
        redis_client.execute_command("ACL", "SETUSER", "default", "+@all")


# Bulks


def test_a_bulk_with_duplicates(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    job = client.options(sync, unique="both")
    sites = [number // 2 for number in range(10_000)]
    ids = job.enqueue_many((site,) for site in sites)
    assert [job_id.duplicate for job_id in ids] == [False, True] * 5_000
    assert ids[::2] == ids[1::2]
    assert store.queues.size("q") == 5_000
    assert redis_client.dbsize() == 5_000 + 3
    assert all(job_id.duplicate for job_id in job.enqueue_many((site,) for site in sites[:800]))
    assert store.queues.size("q") == 5_000


def test_a_bulk_that_raises(client: gresque.Client, store: Store) -> None:
    job = client.options(sync, unique="both", on_duplicate="raise")
    known = job.enqueue(900)
    with pytest.raises(DuplicateJob, match=r"^job 900 of the bulk: .*; the 775 jobs") as raised:
        job.enqueue_many((site,) for site in range(1_000))
    assert raised.value.job_id == known
    assert len(raised.value.enqueued_ids) == 775
    assert store.queues.size("q") == 776


def test_replaced_within_a_bulk(
    client: gresque.Client, store: Store, redis_client: redis.Redis
) -> None:
    job = client.options(sync, unique="both", on_duplicate="replace", unique_key=of_site)
    first, second, third = job.enqueue_many([(7, "a"), (8, "a"), (7, "b")])
    assert (third, third.duplicate) == (first, True)
    assert waiting(store) == [(first, [7, "b"]), (second, [8, "a"])]
    assert "payload" not in lock(redis_client)
    job.enqueue_many([(7, "c"), (7, "d")])
    assert args(lock(redis_client)["payload"]) == [7, "d"]


# Lost replies, and many programs at once


@pytest.mark.parametrize("direction", ["request", "reply"])
def test_a_cut_at_every_place_neither_loses_nor_doubles(
    proxy: FaultyProxy, store: Store, redis_client: redis.Redis, direction: str
) -> None:
    """The ids that the caller gets are those of the jobs that there are, whatever was cut."""
    with closing(gresque.Client(proxy.url)) as client:
        job = client.options(sync, unique="both", on_duplicate="again", unique_key=of_site)
        job.enqueue(1)
        for after in [*range(0, 120, 17), *range(200, 900, 97)]:
            redis_client.delete(LOCK, "resque:queue:q")
            cut = proxy.cut(script("enqueue_unique").sha, direction, after)
            first, second, third = job.enqueue_many([(7, "a"), (7, "b"), (7, "c")])
            assert cut.done.wait(5)
            assert [first.duplicate, second.duplicate, third.duplicate] == [False, False, True]
            assert second == third
            assert waiting(store) == [(first, [7, "a"])]
            found = lock(redis_client)
            assert (found["id"], found["again_id"]) == (first, second)
            assert args(found["again"]) == [7, "c"]


def test_a_call_that_is_sent_again_answers_as_the_first_time(
    store: Store, redis_client: redis.Redis
) -> None:
    """Also when the jobs have ended since, and others have their locks."""
    keys = [store.keys.producer("p"), store.keys.later, store.keys.later_jobs, store.keys.queues]
    locks = [store.keys.unique(name) for name in "aab"]

    def send(number: int, *ids: str, on_duplicate: str = "drop") -> Any:
        jobs = [part for job_id in ids for part in (job_id, 0, "key", f'{{"id":"{job_id}"}}')]
        terms = ["in", "both", on_duplicate, "Job", 60_000, 0, 0]
        return store.server.run_script(
            "enqueue_unique",
            [*keys, store.keys.queue("q"), *locks[: len(ids)]],
            [3, number, "q", 60, 1, *terms, *jobs],
        )

    assert send(1, "1", "2", "3") == b"+ 1 +"
    redis_client.delete(*locks)
    assert send(1, "1", "2", "3") == b"+ 1 +"
    assert send(2, "4") == 1
    assert send(2, "4") == 1
    assert send(3, "5", on_duplicate="raise") == b"4"
    redis_client.delete(*locks)
    assert send(3, "5", on_duplicate="raise") == b"4"
    assert redis_client.lrange("resque:queue:q", 0, -1) == [
        b'{"id":"1"}', b'{"id":"3"}', b'{"id":"4"}',
    ]  # fmt: skip
    assert not redis_client.exists(*locks)


@pytest.mark.parametrize("on_duplicate", ["drop", "again"])
def test_twenty_programs_at_once(redis_url: str, store: Store, on_duplicate: str) -> None:
    """Each enqueues the same jobs, one by one and in bulks."""
    sites = range(30)
    found: list[list[JobId]] = []

    def enqueue(number: int) -> None:
        with closing(gresque.Client(redis_url)) as client:
            job = client.options(sync, unique="both", on_duplicate=on_duplicate)
            calls = [(site,) for site in sites]
            one_by_one = [job.enqueue(*call) for call in calls] if number % 2 else None
            found.append(one_by_one or job.enqueue_many(calls))  # type: ignore[arg-type]

    threads = [threading.Thread(target=enqueue, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    runs = {"drop": 1, "again": 2}[on_duplicate]
    for ids in zip(*found, strict=True):
        new = {str(job_id) for job_id in ids if not job_id.duplicate}
        assert len(new) == runs
        assert {str(job_id) for job_id in ids} == new
    assert store.queues.size("q") == len(sites)
