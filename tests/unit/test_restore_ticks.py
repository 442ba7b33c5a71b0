"""Next ticks that were lost, or are too far away."""

from __future__ import annotations

import time

import pytest
import redis

from gresque.maintenance.lease import Lease
from gresque.maintenance.restore_ticks import RestoreTicks
from gresque.maintenance.task import NEVER
from gresque.schedule.entry import Entry
from gresque.store.cron_snapshot import Change
from gresque.store.store import Store

HOUR = 3_600_000


@pytest.fixture
def restore() -> RestoreTicks:
    lease = Lease("me")
    lease.held = True
    return RestoreTicks(lease)


def add(store: Store, name: str, tick: int | None, every: float, enabled: bool = True) -> None:
    entry = Entry(name=name, every=every, job="A", queue="q", enabled=enabled)
    store.cron.put([Change(name, b"", entry.to_json(), tick)])


def now(store: Store) -> int:
    return int(store.now() * 1000)


def test_the_clock_was_set_back(
    store: Store, restore: RestoreTicks, caplog: pytest.LogCaptureFixture
) -> None:
    add(store, "a", now(store) + 25 * HOUR, 60.0)
    add(store, "daily", now(store) // (24 * HOUR) * 24 * HOUR + 24 * HOUR, 86_400.0)
    before = store.cron.read().next
    restore.run(store)
    after = store.cron.read().next
    assert 0 < after["a"] - now(store) <= 60_000 and after["a"] % 60_000 == 0
    assert after["daily"] == before["daily"]
    assert "1 schedule entry, a among them" in caplog.text
    caplog.clear()
    restore.run(store)
    assert store.cron.read().next == after and caplog.text == ""


def test_a_clock_that_differs_a_little_runs_no_tick_again(
    store: Store, restore: RestoreTicks
) -> None:
    add(store, "a", now(store) + HOUR - 1000, 60.0)
    add(store, "overdue", now(store) - 5000, 60.0)
    before = store.cron.read().next
    restore.run(store)
    assert store.cron.read().next == before


def test_next_ticks_that_were_lost(
    store: Store, restore: RestoreTicks, redis_client: redis.Redis
) -> None:
    for name in ("a", "paused"):
        add(store, name, now(store) + 60_000, 60.0)
    add(store, "off", None, 60.0, enabled=False)
    store.cron.pause("paused", store.cron.read().entries["paused"])
    redis_client.hset("resque:cron", "odd", "{")
    redis_client.delete("resque:cron:next")
    restore.run(store)
    assert set(store.cron.read().next) == {"a"}


def test_only_under_the_lease(store: Store) -> None:
    lease = Lease("me")
    restore = RestoreTicks(lease)
    assert restore.due(time.monotonic()) == NEVER
    lease.held = True
    assert restore.due(time.monotonic()) <= 0
    restore.run(store)
    assert restore.due(time.monotonic()) > 100
