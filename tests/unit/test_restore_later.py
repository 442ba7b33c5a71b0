"""Jobs whose times were deleted from `later`."""

from __future__ import annotations

import time

import pytest
import redis

from gresque.maintenance import restore_later as module
from gresque.maintenance.lease import Lease
from gresque.maintenance.restore_later import RestoreLater
from gresque.maintenance.task import NEVER
from gresque.store.later_job import LaterJob
from gresque.store.store import Store


@pytest.fixture
def restore() -> RestoreLater:
    lease = Lease("me")
    lease.held = True
    return RestoreLater(lease)


def add(store: Store, name: str, raw: bytes, due: int | None = None) -> None:
    store.redis.hset(store.keys.later_jobs, name, LaterJob(name, 0, "q", raw).entry(store.keys))
    if due is not None:
        store.redis.zadd(store.keys.later, {name: due})


def times(client: redis.Redis, store: Store) -> dict[bytes, float]:
    return dict(client.zrange(store.keys.later, 0, -1, withscores=True))


def test_a_job_gets_the_time_of_its_payload(
    store: Store,
    redis_client: redis.Redis,
    restore: RestoreLater,
    caplog: pytest.LogCaptureFixture,
) -> None:
    add(store, "kept", b'{"class":"A","gresque":{"run_at":7}}', 9)
    add(store, "said", b'{"class":"A","args":[],"gresque":{"run_at":4000000000.5}}')
    add(store, "unsaid", b'{"class":"A"}')
    add(store, "far", b'{"class":"A","gresque":{"run_at":1e300}}')
    redis_client.hset(store.keys.later_jobs, "broken", b"no entry")
    now = store.now() * 1000
    restore.run(store)
    found = times(redis_client, store)
    assert (found[b"kept"], found[b"said"]) == (9, 4_000_000_000_500)
    assert found[b"far"] == 253_402_300_799_000
    assert now - 1 <= found[b"unsaid"] <= now + 10_000 and b"broken" in found
    assert "4 jobs in resque:later:jobs had no time in resque:later" in caplog.text
    caplog.clear()
    restore.run(store)
    assert times(redis_client, store) == found and caplog.text == ""


def test_many_take_several_passes(
    store: Store,
    redis_client: redis.Redis,
    restore: RestoreLater,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PASS_SECONDS", 0)
    names = [f"{n:032x}" for n in range(3000)]
    for name in names:
        add(store, name, b'{"class":"A"}')
    passes = 0
    while restore.due(time.monotonic()) <= 0:
        restore.run(store)
        passes += 1
    assert redis_client.zcard(store.keys.later) == 3000
    assert passes > 2


def test_where_nothing_is_wrong_it_asks_once(
    store: Store, redis_client: redis.Redis, restore: RestoreLater
) -> None:
    add(store, "a", b'{"class":"A"}', 9)
    redis_client.config_resetstat()
    restore.run(store)
    asked = set(redis_client.info("commandstats"))
    assert {"cmdstat_hlen", "cmdstat_zcard"} <= asked and "cmdstat_hscan" not in asked
    restore._lease.held = False
    assert restore.due(0.0) == NEVER


def test_a_job_that_has_left_meanwhile_gets_none(store: Store, redis_client: redis.Redis) -> None:
    add(store, "there", b"{}")
    assert store.later.give_times({b"there": 5, b"gone": 5}) == 1
    assert store.later.give_times({b"there": 6}) == 0
    assert times(redis_client, store) == {b"there": 5}


def test_a_key_of_another_type(
    store: Store, redis_client: redis.Redis, restore: RestoreLater
) -> None:
    redis_client.set(store.keys.later_jobs, "x")
    restore.run(store)
    assert redis_client.get(store.keys.later_jobs) == b"x"
