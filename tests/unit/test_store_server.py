"""Calls to the server: scripts, its clock."""

from __future__ import annotations

import time

import pytest
import redis

from gresque.store.ledger import Totals
from gresque.store.store import Store

Redis = redis.Redis
KEY = b"resque:queue:a"


def entry(raw: bytes) -> bytes:
    return b"%d:%s%s" % (len(KEY), KEY, raw)


def hold(client: Redis, process: str = "p", state: str = "3 2 0 0 0", **slots: bytes) -> None:
    fields = {slot.removeprefix("_"): entry(raw) for slot, raw in slots.items()}
    client.hset(f"resque:ledger:{process}", mapping={"state": state, **fields})  # type: ignore[dict-item]
    client.zadd("resque:ledgers", {process: 1000})


def test_the_servers_clock(store: Store) -> None:
    assert abs(store.now() - time.time()) < 5


@pytest.mark.parametrize("times", [1, 2])
def test_a_script_is_brought_along(store: Store, redis_client: Redis, times: int) -> None:
    hold(redis_client)
    for _ in range(times):
        redis_client.script_flush()
        store.recovery.fence("p")
    assert store.recovery.fence("p").totals == Totals(2, 0, 0, 0)
