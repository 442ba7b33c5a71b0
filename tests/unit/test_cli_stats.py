"""`gresque stats`, as a user calls it."""

from __future__ import annotations

import json

import redis

from gresque.store.store import Store
from tests.support.cli import (
    Call,
    fail,
    register,
)


def test_stats(call: Call, store: Store, redis_client: redis.Redis) -> None:
    register(redis_client, held=2)
    fail(redis_client, 1, 2, 3)
    store.enqueuer.push("mail", [b"{}"])
    redis_client.mset(
        {"resque:stat:processed": 1_234, "resque:stat:failed": 5, "resque:stat:retried": 7}
    )
    assert json.loads(call("stats", "--json").out) == {
        "processed": 1_234, "failed": 5, "retried": 7, "pending": 1, "delayed": 0, "in_flight": 2,
        "queues": 1, "workers": 1,
        "processes": 1, "failed_list": 3,
    }  # fmt: skip
    assert call("stats").out.splitlines()[0] == "processed    1,234"
