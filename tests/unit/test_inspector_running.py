"""Running jobs: the page of the longest, and one by its id."""

from __future__ import annotations

import redis

from benchmarks.held import PAYLOAD_BYTES, Traffic, hold, job_id, process_name
from gresque.inspector.running import RunningJob
from gresque.store.commands import Blocking, Running
from gresque.store.store import Store


def test_the_longest_come_first(store: Store, redis_client: redis.Redis) -> None:
    hold(redis_client, 5, 40)
    jobs = RunningJob.longest(store, 7)
    assert [(job.process, job.slot) for job in jobs] == [
        *((process_name(number), "39") for number in (4, 3, 2, 1, 0)),
        (process_name(4), "38"),
        (process_name(3), "38"),
    ]
    assert jobs[0].seconds is not None and 39 <= jobs[0].seconds < 60
    assert (jobs[0].queue, jobs[0].item["id"]) == ("mail", job_id(4, 39))
    everything = RunningJob.all(store)
    assert [job.slot for job in everything[:7]] == [job.slot for job in jobs]
    assert len(everything) == 200


def test_those_that_block_others_are_on_every_page(store: Store, redis_client: redis.Redis) -> None:
    hold(redis_client, 2, 30)
    now = store.now()
    running = Running({"3": now - 2}, Blocking("3", now - 2, ["jobs.py:7:in `spin'"]))
    redis_client.set(f"resque:running:{process_name(0)}", running.encode())
    first, second = RunningJob.longest(store, 2)
    assert (first.process, first.slot, first.stack) == (
        process_name(0), "3", ("jobs.py:7:in `spin'",),
    )  # fmt: skip
    assert first.blocks_seconds is not None and first.blocks_seconds >= 2
    assert (second.process, second.slot) == (process_name(1), "29")


def test_only_the_payloads_of_the_page_are_read(store: Store, redis_client: redis.Redis) -> None:
    hold(redis_client, 20, 50)
    with Traffic(redis_client) as traffic:
        assert len(RunningJob.longest(store, 10)) == 10
    page = 10 * (PAYLOAD_BYTES + 200)
    published = 20 * 50 * 30
    assert traffic.bytes_sent < page + published + 20 * 100 + 10_000
    assert not traffic.calls.keys() & {"hgetall", "hvals", "hscan"}


def test_a_job_that_has_ended_since_is_left_out(store: Store, redis_client: redis.Redis) -> None:
    hold(redis_client, 1, 3)
    redis_client.hdel(f"resque:ledger:{process_name(0)}", "2")
    assert [job.slot for job in RunningJob.longest(store, 2)] == ["1"]


def test_what_others_keep_there(store: Store, redis_client: redis.Redis) -> None:
    redis_client.zadd("resque:ledgers", {"a": 1, "b": 2, "c": 3, "d": 4})
    redis_client.set("resque:running:a", "[1]")
    redis_client.rpush("resque:running:b", "x")
    redis_client.set("resque:running:c", '{"since":{"0":1}}')
    redis_client.set("resque:ledger:c", "text")
    redis_client.set("resque:running:d", '{"since":{"0":1}}')
    redis_client.hset("resque:ledger:d", "0", "no entry")
    (job,) = RunningJob.longest(store)
    assert job.item == {"raw": "no entry"}
