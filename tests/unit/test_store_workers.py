"""Workers as Redis knows them."""

from __future__ import annotations

import redis

from gresque.store.store import Store

Redis = redis.Redis


def test_unregister_worker(store: Store, redis_client: Redis) -> None:
    redis_client.sadd("resque:workers", "w", "other")
    redis_client.hset("resque:workers:heartbeat", mapping={"w": "x", "other": "y"})
    for worker in ("w", "other"):
        for key in (
            f"worker:{worker}:started",
            f"stat:processed:{worker}",
            f"stat:failed:{worker}",
        ):
            redis_client.set(f"resque:{key}", 1)
    redis_client.set("resque:stat:processed", 5)
    redis_client.hset("resque:inflight:w", "q", 2)
    store.workers.unregister("w")
    store.workers.unregister("w")
    assert {key.decode() for key in redis_client.scan_iter()} == {
        "resque:workers", "resque:workers:heartbeat", "resque:worker:other:started",
        "resque:stat:processed:other", "resque:stat:failed:other", "resque:stat:processed",
    }  # fmt: skip
    assert redis_client.smembers("resque:workers") == {b"other"}
