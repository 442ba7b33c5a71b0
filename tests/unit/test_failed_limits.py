"""The oldest failed jobs are removed, where a setting says so."""

from __future__ import annotations

import json
import logging
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from gresque.clock import failed_at
from gresque.maintenance import failed_limits
from gresque.maintenance.failed_limits import MOST_A_CALL, MOST_A_RUN, FailedLimits
from gresque.maintenance.lease import Lease
from gresque.maintenance.task import NEVER
from gresque.settings import Settings
from gresque.store.store import Store

FAILED = "resque:failed"


@pytest.fixture(autouse=True)
def _enough_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """No run ends because the machine is busy."""
    monkeypatch.setattr(failed_limits, "PASS_SECONDS", 60.0)


def limits(**settings: str) -> FailedLimits:
    lease = Lease("me")
    lease.held = True
    return FailedLimits(lease, Settings.load(settings, {}))


def fail(client: redis.Redis, *ages: float | str, key: str = FAILED) -> None:
    """Entries of this age in seconds, or as they are."""
    now = int(client.time()[0])
    for age in ages:
        raw = (
            age
            if isinstance(age, str)
            else json.dumps({"failed_at": failed_at(now - age), "n": age})
        )
        client.rpush(key, raw)


def left(client: redis.Redis, key: str = FAILED) -> list[Any]:
    entries = client.lrange(key, 0, -1)
    return [json.loads(raw)["n"] if raw[:1] == b"{" else raw.decode() for raw in entries]


def test_nothing_vanishes_unasked() -> None:
    assert limits().due(time.monotonic()) == NEVER
    one = limits(failed_max_entries="5")
    assert one.due(time.monotonic()) <= 0
    one._lease.held = False
    assert one.due(time.monotonic()) == NEVER


@pytest.mark.parametrize(
    ("ages", "settings", "stay"),
    [
        ([900, 500, 90, 9], {"failed_max_entries": "3"}, [500, 90, 9]),
        ([900, 500, 90, 9], {"failed_max_entries": "4"}, [900, 500, 90, 9]),
        ([900, 500, 90, 9], {"failed_max_entries": "0"}, []),
        ([900, 500, 90, 9], {"failed_max_age_seconds": "100"}, [90, 9]),
        ([900, 500, 90, 9], {"failed_max_age_seconds": "1000"}, [900, 500, 90, 9]),
        ([900, "odd", 500, "odd", 90, 9], {"failed_max_age_seconds": "100"}, ["odd", 90, 9]),
        (["odd", 90, 9], {"failed_max_age_seconds": "100"}, ["odd", 90, 9]),
        (["odd", 900, 9], {"failed_max_age_seconds": "100"}, [9]),
        ([90, "odd", 900, 9], {"failed_max_age_seconds": "100"}, [90, "odd", 900, 9]),
        ([900, 500, 90, 9], {"failed_max_entries": "1", "failed_max_age_seconds": "100"}, [9]),
        ([900, 500, 90, 9], {"failed_max_entries": "3", "failed_max_age_seconds": "100"}, [90, 9]),
        ([*range(700, 500, -1), 5], {"failed_max_age_seconds": "100"}, [5]),
    ],
    ids=range(12),
)  # fmt: skip
def test_the_oldest_go(
    store: Store, redis_client: redis.Redis, ages: Any, settings: Any, stay: Any
) -> None:
    fail(redis_client, *ages)
    limits(**settings).run(store)
    assert left(redis_client) == stay
    assert not redis_client.exists("resque:failed_sweep")


DATES = (
    "%Y/%m/%d %H:%M:%S UTC", "%Y/%m/%d %H:%M:%S", "%a %b %d %Y %H:%M:%S GMT+0000 (UTC)",
    "%a %b %d %H:%M:%S UTC %Y", "%Y-%m-%d %H:%M:%S",
)  # fmt: skip


def test_the_dates_of_other_programs(store: Store, redis_client: redis.Redis) -> None:
    """One that cannot be read is not taken to be old."""
    now = store.now()
    for age in (900, 9):
        at = datetime.fromtimestamp(now - age, UTC)
        found = [at.strftime(form) for form in DATES]
        east = (at + timedelta(hours=5)).strftime("%a %b %d %Y %H:%M:%S GMT+0500 (X)")
        west = (at - timedelta(hours=5)).strftime("%a %b %d %Y %H:%M:%S GMT-0500 (X)")
        for each in (*found, east, west, at.timestamp(), int(at.timestamp() * 1000), "nan"):
            redis_client.rpush(FAILED, json.dumps({"failed_at": each, "n": age}))
    limits(failed_max_age_seconds="100").run(store)
    # The first nonsense may be as young as the entry behind it.
    assert left(redis_client) == [900, *[9] * 10]


def test_each_list_has_the_limit(store: Store, redis_client: redis.Redis) -> None:
    for name in ("a_failed", "b_failed"):
        redis_client.sadd("resque:failed_queues", name)
        fail(redis_client, 9, 8, 7, key=f"resque:{name}")
    limits(failed_max_entries="2", failure_backend="redis_multi_queue").run(store)
    assert [left(redis_client, f"resque:{name}_failed") for name in "ab"] == [[8, 7]] * 2


def test_a_run_is_bounded_and_goes_on_at_once(
    store: Store,
    redis_client: redis.Redis,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "gresque.maintenance")
    redis_client.rpush(FAILED, *map(str, range(MOST_A_RUN + MOST_A_CALL)))
    one = limits(failed_max_entries="10")
    one.run(store)
    assert redis_client.llen(FAILED) == MOST_A_CALL
    assert one.due(time.monotonic()) <= 0
    one.run(store)
    assert redis_client.lrange(FAILED, 0, 0) == [b"%d" % (MOST_A_RUN + MOST_A_CALL - 10)]
    assert one.due(time.monotonic()) > 5
    assert "removed 990 failed jobs from resque:failed" in caplog.text


def test_a_slow_server_holds_up_no_other_task(
    store: Store, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run ends when its time is over, and the next one goes on where it stood."""
    names = [f"{letter}_failed" for letter in "abcd"]
    redis_client.sadd("resque:failed_queues", *names)
    for name in names:
        fail(redis_client, *range(20), key=f"resque:{name}")
    monkeypatch.setattr(failed_limits, "PASS_SECONDS", 0.0001)
    monkeypatch.setattr(failed_limits, "MOST_A_CALL", 10)
    one = limits(failed_max_entries="0", failure_backend="redis_multi_queue")
    runs = 0
    while one.due(time.monotonic()) <= 0:
        runs += 1
        one.run(store)
    assert runs >= 8
    assert not redis_client.keys("resque:*_failed")
    assert not redis_client.exists("resque:failed_sweep")


def test_it_gives_way_to_a_command(store: Store, redis_client: redis.Redis) -> None:
    """That moves entries from one end to the other: the first one is not the oldest then."""
    fail(redis_client, 900, 9)
    redis_client.set("resque:failed_sweep", "of a command", px=5000)
    limits(failed_max_entries="0").run(store)
    assert left(redis_client) == [900, 9]
    assert redis_client.get("resque:failed_sweep") == b"of a command"
    assert store.failed.trim_oldest(FAILED, "late", 0, [], 9) == -1


def test_what_changed_meanwhile_stays(
    store: Store, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one removes an entry between the look at them and the step."""
    fail(redis_client, 900, 800, 9, 8)
    trim, calls = store.failed.trim_oldest, []

    def after_a_removal(key: str, *arguments: Any) -> int:
        if not calls:
            redis_client.lpop(key)
        calls.append(arguments)
        return trim(key, *arguments)

    monkeypatch.setattr(store.failed, "trim_oldest", after_a_removal)
    limits(failed_max_age_seconds="100").run(store)
    assert left(redis_client) == [800, 9, 8]
    limits(failed_max_age_seconds="100").run(store)
    assert left(redis_client) == [9, 8]


def test_a_command_that_takes_the_lock_over_ends_it(
    store: Store, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(redis_client, *range(50, 0, -1))
    monkeypatch.setattr(failed_limits, "MOST_A_CALL", 5)
    trim = store.failed.trim_oldest

    def lose_the_lock(*arguments: Any) -> int:
        count = trim(*arguments)
        redis_client.set("resque:failed_sweep", "another")
        return count

    monkeypatch.setattr(store.failed, "trim_oldest", lose_the_lock)
    limits(failed_max_entries="1").run(store)
    assert len(left(redis_client)) == 45
    assert redis_client.get("resque:failed_sweep") == b"another"
