"""`gresque queues`, as a user calls it."""

from __future__ import annotations

import json

import redis

from gresque.store.store import Store
from tests.support.cli import (
    ESCAPE,
    Call,
)


class TestQueues:
    def test_none(self, call: Call) -> None:
        assert call("queues") == (0, "no queues\n", "")
        assert json.loads(call("queues", "--json").out) == []

    def test_sizes(self, call: Call, store: Store) -> None:
        store.enqueuer.push("small", [b"{}"])
        store.enqueuer.push("Big", [b"{}"] * 1_234)
        assert call("queues").out == ("QUEUE   SIZE\nBig    1,234\nsmall      1\ntotal  1,235\n")
        assert json.loads(call("queues", "--json").out) == [
            {"name": "Big", "size": 1_234},
            {"name": "small", "size": 1},
        ]

    def test_odd_data(self, call: Call, redis_client: redis.Redis) -> None:
        redis_client.sadd("resque:queues", b"\xff", ESCAPE, "no list", "queue\u202eabc")
        redis_client.set("resque:queue:no list", "x")
        redis_client.rpush(b"resque:queue:\xff", "x")
        out = call("queues").out
        assert out.replace("\n", "").isprintable()
        assert [line.rsplit(None, 1) for line in out.splitlines()[1:]] == [
            [r"\x1b[2J", "0"], ["no list", "0"], [r"queue\u202eabc", "0"], [r"\xff", "1"],
            ["total", "1"],
        ]  # fmt: skip
        assert len(json.loads(call("queues", "--json").out)) == 4
