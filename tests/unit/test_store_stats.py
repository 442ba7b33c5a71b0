"""The counters."""

from __future__ import annotations

import redis

from gresque.store.store import Store

Redis = redis.Redis


def test_stats(store: Store, redis_client: Redis) -> None:
    redis_client.set("resque:stat:processed", 12)
    keys = store.keys
    assert store.stats.values([keys.processed, keys.failures, keys.worker_stat("failed", "w")]) == [
        12, 0, 0,
    ]  # fmt: skip
    redis_client.set("resque:stat:failed", "not a number")
    redis_client.delete("resque:stat:processed")
    redis_client.lpush("resque:stat:processed", "x")
    assert store.stats.values([keys.processed, keys.failures]) == [0, 0]
