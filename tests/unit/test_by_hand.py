"""Jobs that are taken out by hand release their locks, and retried ones take them again."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from gresque.client.client import Client
from gresque.control.queues import clear_jobs
from gresque.failure.backend import RedisBackend
from gresque.failure.entry import encode_entry
from gresque.failure.failed_list import FailedList
from gresque.failure.search import Wanted
from gresque.jobs import payload
from gresque.jobs.by_hand import REMOVED_AT_ONCE
from gresque.jobs.definition import JobDefinition
from gresque.store.store import Store

OTHER = "f" * 32


def digest(number: int) -> str:
    return f"{number:032x}"


def lock(number: int) -> str:
    return "resque:unique:" + digest(number)


def job_id(number: int) -> str:
    return f"{0x19A0000000 + number:012x}7000" + "8" + "0" * 15


def job(number: int, mode: str = "both") -> bytes:
    mark = {"unique": [digest(number), mode]}
    return payload.encode("Sync", (number,), None, job_id(number), envelope=mark)


class Bench:
    def __init__(self, url: str, store: Store, client: redis.Redis) -> None:
        self.url, self.store, self.client = url, store, client
        self.gresque = Client(redis_url=url)

    def put(self, *numbers: int, mode: str = "both") -> None:
        for number in numbers:
            self.hold(number, mode=mode)
            self.client.rpush("resque:queue:a", job(number, mode))
        self.client.sadd("resque:queues", "a")

    def delay(self, number: int, mode: str = "both") -> None:
        self.hold(number, mode=mode)
        self.client.zadd("resque:later", {job_id(number): 9e12})
        entry = b"14:resque:queue:a" + job(number, mode)
        self.client.hset("resque:later:jobs", job_id(number), entry)

    def hold(self, number: int, mode: str = "both", **fields: str | bytes) -> None:
        self.client.hset(lock(number), mapping={"id": job_id(number), "mode": mode, **fields})

    @property
    def locks(self) -> int:
        return len([*self.client.scan_iter("resque:unique:*")])


@pytest.fixture
def bench(redis_url: str, store: Store, redis_client: redis.Redis) -> Iterator[Bench]:
    made = Bench(redis_url, store, redis_client)
    yield made
    made.gresque.close()


def test_a_removed_queue_leaves_no_lock(bench: Bench) -> None:
    bench.put(*range(20))
    bench.client.rpush("resque:suspects:1:a", job(20))
    bench.hold(20)
    bench.hold(3, again=b"never to run")
    bench.hold(99)
    bench.client.lpush("resque:queue:a", b"no job", b'{"args":["unique"]}')
    assert bench.gresque.remove_queue("a") == 23
    assert bench.locks == 1 and bench.client.exists(lock(99))
    assert not bench.client.exists("resque:queue:a", "resque:suspects:1:a", "resque:queues")


def test_a_large_queue_is_removed_in_steps(bench: Bench) -> None:
    count = 2 * REMOVED_AT_ONCE + 1
    bench.client.rpush("resque:queue:a", *(b"x%d" % n for n in range(count)))
    bench.put(1)
    assert bench.gresque.remove_queue("a") == count + 1
    assert not bench.locks


def test_large_jobs_are_removed_in_small_steps(bench: Bench) -> None:
    bench.client.rpush("resque:queue:a", *(b"x" * 1_000_000 for n in range(250)))
    cleared = bench.store.queues.clear("a", 1000)
    assert cleared == (100, False, [])
    assert clear_jobs(bench.store, "a", 1000, by="a test") == 150


def test_cleared_jobs_leave_no_lock(bench: Bench) -> None:
    bench.put(1, 2, 3)
    assert clear_jobs(bench.store, "a", 2, by="a test") == 2
    assert bench.client.keys("resque:unique:*") == [lock(3).encode()]


def test_the_lock_of_another_job_stays(bench: Bench) -> None:
    """It ran out, and a later job took it."""
    bench.put(1)
    bench.hold(1, id=job_id(2))
    assert bench.gresque.remove_queue("a") == 1
    assert bench.locks == 1


@pytest.mark.parametrize("mode", ["both", "queued"])
def test_a_cancelled_job_leaves_no_lock(bench: Bench, mode: str) -> None:
    bench.put(1, mode=mode)
    bench.delay(2, mode)
    for number in (1, 2):
        assert bench.gresque.cancel(job_id(number))
        assert not bench.gresque.cancel(job_id(number))
        assert not bench.client.exists(lock(number))
    assert not bench.client.exists("resque:queue:a", "resque:later", "resque:later:jobs")


def test_of_a_dequeued_job_the_next_run_comes_to_the_queue(bench: Bench) -> None:
    """Another program has asked for it."""
    definition = JobDefinition("Sync", "a", lambda number: None)
    sync: Any = SimpleNamespace(definition=definition)
    bench.put(1)
    following = job(1).replace(job_id(1).encode(), job_id(2).encode())
    bench.hold(1, again=following, again_id=job_id(2))
    assert bench.gresque.dequeue(sync, 1) == 1
    assert bench.client.lrange("resque:queue:a", 0, -1) == [following]
    assert bench.client.hget(lock(1), "id") == job_id(2).encode()
    assert bench.gresque.dequeue(sync, 1) == 1
    assert not bench.locks


def test_a_job_that_was_called_and_is_cancelled_calls_the_next(bench: Bench) -> None:
    """It had the lock already, so that no other one could overtake it."""
    waiting = lock(1) + ":waiting"
    bench.put(1, mode="running")
    bench.client.zadd("resque:later", {job_id(2): 9e12})
    entry = job(1, "running").replace(job_id(1).encode(), job_id(2).encode())
    bench.client.hset("resque:later:jobs", job_id(2), b"14:resque:queue:a" + entry)
    bench.client.zadd(waiting, {job_id(2): 1})
    assert bench.gresque.cancel(job_id(1))
    assert bench.client.lrange("resque:queue:a", 0, -1) == [entry]
    assert bench.client.hget(lock(1), "id") == job_id(2).encode()
    assert bench.gresque.cancel(job_id(2))
    assert not bench.client.keys("resque:unique:*")


def test_one_that_is_cancelled_while_it_waits_is_not_called(bench: Bench) -> None:
    waiting = lock(1) + ":waiting"
    bench.hold(1, mode="running", by="p 0")
    bench.client.zadd("resque:later", {job_id(2): 9e12})
    entry = job(1, "running").replace(job_id(1).encode(), job_id(2).encode())
    bench.client.hset("resque:later:jobs", job_id(2), b"14:resque:queue:a" + entry)
    bench.client.zadd(waiting, {job_id(2): 1})
    assert bench.gresque.cancel(job_id(2))
    assert not bench.client.exists(waiting)
    assert bench.client.hget(lock(1), "by") == b"p 0"


def test_one_that_gets_another_time_while_it_waits_for_a_lock_is_not_called_before(
    bench: Bench,
) -> None:
    waiting = lock(1) + ":waiting"
    bench.hold(1, mode="running", by="p 0")
    bench.client.pexpire(lock(1), 5_000)
    bench.client.zadd("resque:later", {job_id(1): 9e12})
    bench.client.hset("resque:later:jobs", job_id(1), b"14:resque:queue:a" + job(1, "running"))
    bench.client.zadd(waiting, {job_id(1): 1})
    assert bench.gresque.reschedule(job_id(1), in_=3600)
    assert not bench.client.exists(waiting)
    assert bench.client.pttl(lock(1)) <= 5_000  # it is that of the job that runs


@pytest.mark.parametrize("ttl", [{}, {"ttl": "7200000"}])
@pytest.mark.parametrize("mode", ["both", "queued"])
def test_the_lock_of_one_that_gets_another_time_outlives_that(
    bench: Bench, mode: str, ttl: dict[str, str]
) -> None:
    hour = 3_600_000
    bench.delay(1, mode)
    bench.hold(1, mode, **ttl)
    bench.client.pexpire(lock(1), hour)
    assert bench.gresque.reschedule(job_id(1), in_=10 * 3600)
    expected = 10 * hour + int(ttl.get("ttl", 24 * hour))
    assert expected - 5_000 < bench.client.pttl(lock(1)) <= expected
    assert bench.gresque.reschedule(job_id(1), in_=1)
    assert bench.client.pttl(lock(1)) > expected - 5_000
    bench.hold(1, mode, id=OTHER)
    bench.client.pexpire(lock(1), hour)
    assert bench.gresque.reschedule(job_id(1), in_=10 * 3600)
    assert bench.client.pttl(lock(1)) <= hour


@pytest.mark.parametrize("sweep", [False, True])
def test_a_retry_of_a_job_whose_arguments_may_be_replaced_says_so_in_the_lock(
    bench: Bench, sweep: bool
) -> None:
    """So a trigger while it waits changes its arguments, as before, and makes no second run."""
    mark = {"unique": [digest(1), "both", "replace"]}
    raw = payload.encode("Sync", (1,), None, job_id(1), envelope=mark)
    bench.client.rpush("resque:failed", encode_entry(raw, "E", "no", [], "w", "a"))
    backend = RedisBackend(bench.store)
    if sweep:
        assert backend.retry_all(Wanted()).retried == 1
    else:
        assert backend.retry(FailedList(bench.store, "resque:failed").page(0, 1)) == [True]
    assert bench.client.hget(lock(1), "replace") == b"1"


@pytest.mark.parametrize("sweep", [False, True])
@pytest.mark.parametrize("mode", ["both", "queued", "running"])
def test_a_retry_takes_a_lock_that_is_free(bench: Bench, mode: str, sweep: bool) -> None:
    """It runs in any case. One of mode `running` takes it when it starts."""
    for number in (1, 2):
        entry = encode_entry(job(number, mode), "E", "no", [], "w", "a")
        bench.client.rpush("resque:failed", entry)
    bench.hold(2, id=OTHER)
    backend = RedisBackend(bench.store)
    if sweep:
        assert backend.retry_all(Wanted()).retried == 2
    else:
        assert backend.retry(FailedList(bench.store, "resque:failed").page(0, 2)) == [True, True]
    assert [payload.id_of(raw) for raw in bench.client.lrange("resque:queue:a", 0, -1)] == [
        job_id(1),
        job_id(2),
    ]
    assert bench.client.hget(lock(2), "id") == OTHER.encode()
    if mode == "running":
        assert not bench.client.exists(lock(1))
        return
    held = bench.client.hgetall(lock(1))
    assert float(held.pop(b"since")) / 1000 == pytest.approx(bench.store.now(), abs=5)
    assert held == {
        b"id": job_id(1).encode(), b"mode": mode.encode(), b"class": b"Sync", b"queue": b"a",
    }  # fmt: skip
    assert 86_000_000 < bench.client.pttl(lock(1)) <= 86_400_000


@pytest.mark.parametrize("how", ["cancel", "dequeue"])
def test_a_job_is_taken_out_with_the_arguments_that_replaced_its_own(
    bench: Bench, how: str
) -> None:
    bench.put(1)
    bench.hold(1, replace=b"1", payload=job(1))
    if how == "cancel":
        assert bench.gresque.cancel(job_id(1))
    else:
        definition = JobDefinition("Sync", "a", lambda number: None)
        sync: Any = SimpleNamespace(definition=definition)
        assert bench.gresque.dequeue(sync, 1) == 1
    assert not bench.locks and not bench.client.exists("resque:queue:a")


def test_a_released_lock_gives_out_the_arguments_that_it_keeps(bench: Bench) -> None:
    bench.hold(1, queue="a", replace=b"1", payload=job(1))
    assert bench.gresque.release_lock(digest(1))
    assert bench.client.lrange("resque:queue:a", 0, -1) == [job(1)]
