"""The ticking of a maintenance process, without the process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gresque.jobs.registry import registry
from gresque.maintenance.cron import CronTicks
from gresque.maintenance.due_watch import DueWatch
from gresque.maintenance.lease import Lease
from gresque.schedule.declared import declared
from gresque.schedule.entry import Entry
from gresque.settings import Settings
from gresque.store.cron_snapshot import Change
from gresque.store.store import Store


@pytest.fixture(autouse=True)
def nothing_declared(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_definitions", {})
    monkeypatch.setattr(registry, "find", registry._definitions.get)
    declared.clear()
    yield
    declared.clear()


@pytest.fixture(name="cron")
def cron_fixture(redis_url: str) -> CronTicks:
    return ticker(redis_url)


@pytest.fixture(name="watch")
def watch_fixture(store: Store, redis_url: str) -> Iterator[DueWatch]:
    keys = store.keys
    watch = DueWatch(redis_url, "resque", {keys.cron_next: 0.001}, [keys.persistent_schedules])
    yield watch
    watch.close()


def ticker(redis_url: str, watch: DueWatch | None = None, queues: str = "q") -> CronTicks:
    lease = Lease("me")
    lease.held = True
    return CronTicks(lease, Settings.load({"redis_url": redis_url, "queues": queues}, {}), watch)


def add(store: Store, name: str, age_seconds: float = 0.5, **fields: Any) -> int:
    """An entry whose tick came this long ago; returns that, in epoch milliseconds."""
    fields = {"every": 3600.0, "job": "A", "queue": "q"} | fields
    found = Entry(name=name, **fields)
    tick = int((store.now() - age_seconds) * 1000)
    store.cron.put([Change(name, b"", found.to_json(), tick)])
    return tick


def ran(store: Store, queue: str = "q") -> list[dict[str, Any]]:
    return [json.loads(raw) for raw in store.queues.peek(queue, 0, 999)]


def names(store: Store, queue: str = "q") -> list[str]:
    return [job["gresque"]["cron"] for job in ran(store, queue)]
