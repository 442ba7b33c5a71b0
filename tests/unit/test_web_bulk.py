"""Actions of the dashboard that go on in the background."""

from __future__ import annotations

import time

import pytest
import redis

from benchmarks.held import hold
from gresque.inspector.audit import read_audit
from gresque.inspector.running import RunningJob
from gresque.store.store import Store
from gresque.web import kills
from gresque.web.bulk import Bulk, Bulks
from gresque.web.kills import Kills


def test_at_the_end_of_the_dashboard_they_end_where_they_are() -> None:
    bulks, steps = Bulks(), []

    def work(bulk: Bulk) -> str:
        while bulk.advanced(len(steps), 100_000):
            steps.append(1)
            time.sleep(0.001)
        return f"{len(steps)} removed"

    bulk = bulks.start("Removing", work, by="ana")
    bulks.close(10)
    assert bulk.outcome == f"cancelled: {len(steps)} removed"


def test_one_that_does_not_end_is_waited_for_no_longer() -> None:
    bulks, over = Bulks(), []

    def work(bulk: Bulk) -> str:
        while not over:
            time.sleep(0.001)
        return ""

    bulk = bulks.start("Removing", work, by="ana")
    bulks.close(0.05)
    assert not bulk.is_over
    over.append(1)
    bulks.close(10)
    assert bulk.is_over


def test_kills_under_way_come_into_the_audit(
    store: Store, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kills, "WAIT_SECONDS", 0.3)  # nobody answers
    hold(redis_client, 1, 1)
    found = Kills(store)
    assert found.start(RunningJob.all(store), "ana") == 1
    assert read_audit(store, 10) == []
    found.close(10)
    (entry,) = read_audit(store, 10)
    assert (entry.verb, entry.outcome) == ("kill", "1 requested")
