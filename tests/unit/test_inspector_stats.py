"""The numbers of the whole system, and what they cost."""

from __future__ import annotations

import pytest
import redis

from benchmarks.held import PAYLOAD_BYTES, Traffic, hold
from gresque.inspector.stats import read_summary
from gresque.store.stats import Summary
from gresque.store.store import Store


def test_an_empty_namespace(store: Store) -> None:
    assert read_summary(store, "redis") == Summary(*[0] * 10)


@pytest.mark.parametrize(
    ("backend", "failed_list"), [("redis", 3), ("redis_multi_queue", 2)]
)  # fmt: skip
def test_every_number(
    store: Store, redis_client: redis.Redis, backend: str, failed_list: int
) -> None:
    hold(redis_client, 2, 3)
    redis_client.mset(
        {"resque:stat:processed": 12, "resque:stat:failed": 5, "resque:stat:retried": 8}
    )
    redis_client.sadd("resque:workers", "w")
    redis_client.rpush("resque:queue:mail", "1", "2")
    redis_client.sadd("resque:suspects", "mail")
    redis_client.rpush("resque:suspects:1:mail", "3")
    redis_client.rpush("resque:suspects:2:mail", "4")
    redis_client.rpush("resque:failed", *"abc")
    redis_client.zadd("resque:later", {"a": 5})
    redis_client.rpush("resque:delayed:7", "b", "c")
    redis_client.zadd("resque:delayed_queue_schedule", {"7": 7, "8": 8})
    redis_client.sadd("resque:failed_queues", "mail_failed", "web_failed")
    redis_client.rpush("resque:mail_failed", "a")
    redis_client.rpush("resque:web_failed", "b")
    assert read_summary(store, backend) == Summary(
        processed=12, failed=5, retried=8, pending=4, in_flight=6, queues=1, workers=1, processes=2,
        failed_list=failed_list, delayed=3,
    )  # fmt: skip


def test_no_payload_is_sent(store: Store, redis_client: redis.Redis) -> None:
    hold(redis_client, 20, 50)
    redis_client.rpush("resque:failed", *["x" * PAYLOAD_BYTES] * 1000)
    redis_client.rpush("resque:queue:mail", *["x" * PAYLOAD_BYTES] * 1000)
    with Traffic(redis_client) as traffic:
        assert read_summary(store, "redis").in_flight == 1000
    # The names of processes are most of it.
    assert traffic.bytes_sent < 20 * 100 + 10_000
    assert not traffic.calls.keys() & {"hgetall", "hvals", "hscan", "lrange", "get"}


@pytest.mark.parametrize("key", ["queues", "suspects", "ledgers", "workers", "failed", "queue:q"])
def test_a_key_of_another_type_counts_as_empty(
    store: Store, redis_client: redis.Redis, key: str
) -> None:
    redis_client.sadd("resque:queues", "q")
    redis_client.delete(f"resque:{key}")
    redis_client.set(f"resque:{key}", "text")
    assert read_summary(store, "redis").pending == 0
