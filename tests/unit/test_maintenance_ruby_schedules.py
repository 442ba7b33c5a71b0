"""Entries of Ruby programs: they become gresque's own, and run."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import redis

from gresque.maintenance.cron import CronTicks
from gresque.maintenance.due_watch import DueWatch
from gresque.maintenance.lease import Lease
from gresque.settings import Settings
from gresque.store.store import Store
from tests.process.support import wait_for
from tests.support.cron_ticks import add, names, ran, ticker
from tests.support.cron_ticks import cron_fixture as cron_fixture
from tests.support.cron_ticks import nothing_declared as nothing_declared
from tests.support.cron_ticks import watch_fixture as watch_fixture

RUBY_LOCK = "resque:resque:resque_scheduler_master_lock"


def set_schedule(client: redis.Redis, name: str, config: dict[str, Any]) -> None:
    """As Ruby does it, with persist: true."""
    client.hset("resque:persistent_schedules", name, json.dumps(config))
    client.sadd("resque:schedules_changed", name)


def test_ruby_programs_set_change_and_remove(
    store: Store, redis_url: str, watch: DueWatch, redis_client: redis.Redis
) -> None:
    cron = ticker(redis_url, watch)
    cron.run(store)
    other = {"cron": "0 */2 * * * Europe/Berlin", "class": "Cls", "queue": "high", "args": ["x"]}
    set_schedule(redis_client, "dyn", other)
    set_schedule(redis_client, "secs", {"cron": "* * * * * *", "class": "Cls", "queue": "q"})

    def names_after(expected: set[str]) -> None:
        """What a maintenance process does, which waits for `due`."""
        until = time.monotonic() + 20
        while set(store.cron.read().entries) != expected:
            assert time.monotonic() < until
            if cron.due(time.monotonic()) <= 0:
                cron.run(store)
            time.sleep(0.005)

    names_after({"dyn", "secs"})
    entries = store.cron.read().entries
    assert json.loads(entries["dyn"]) == {
        "name": "dyn", "cron": "0 */2 * * *", "tz": "Europe/Berlin", "job": "Cls",
        "queue": "high", "args": ["x"], "source": "ruby",
    }  # fmt: skip
    wait_for(lambda: (cron.run(store), ran(store))[1])
    set_schedule(
        redis_client, "dyn", {"every": ["1h", {"first_in": 5}], "class": "C", "queue": "q"}
    )
    redis_client.hdel("resque:persistent_schedules", "secs")
    names_after({"dyn"})
    cron.run(store)
    assert json.loads(store.cron.entry("dyn") or b"")["every"] == 3600


def test_entries_of_ruby_that_cannot_run_are_named_once(
    store: Store, cron: CronTicks, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    add(store, "ours", -60)
    good = {"cron": "* * * * *", "queue": "q"}
    set_schedule(redis_client, "ours", good)
    set_schedule(redis_client, "line", {"cron": "every day", "queue": "q"})
    set_schedule(redis_client, "no queue", {"cron": "* * * * *"})
    set_schedule(redis_client, "env", good | {"rails_env": "production"})
    set_schedule(redis_client, "good", good)
    redis_client.hset("resque:persistent_schedules", "json", "{")
    cron.run(store)
    cron.run(store)
    assert set(store.cron.read().entries) == {"ours", "good"}
    assert sorted(record.args[0] for record in caplog.records) == [  # type: ignore[index]
        "json", "line", "no queue", "ours",
    ]  # fmt: skip


def test_a_scheduler_of_ruby_runs_its_own_entries(
    store: Store, cron: CronTicks, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    set_schedule(redis_client, "theirs", {"every": "1h", "queue": "q"})
    cron.run(store)
    redis_client.set(RUBY_LOCK, "host:1")
    redis_client.zadd("resque:cron:next", {"theirs": int(store.now() * 1000) - 50})
    add(store, "ours")
    cron.run(store)
    assert names(store) == ["ours"]
    assert "are left to the scheduler host:1" in caplog.text
    redis_client.set(RUBY_LOCK, "gresque host:1")
    redis_client.zadd("resque:cron:next", {"theirs": int(store.now() * 1000) - 50})
    cron.run(store)
    assert names(store) == ["ours", "theirs"]


HOSTILE = {
    "deep": b'{"every":"1h","queue":"q","args":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "huge": b'{"queue":"q","every":' + b"9" * 400 + b"}",
    "zone": b'{"cron":"0 2 * * *","queue":"q","tz":["a"]}',
    "line": b'{"cron":"' + b"1," * 100_000 + b'1 * * * *","queue":"q"}',
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_entries_of_ruby_hold_up_no_other(
    store: Store, cron: CronTicks, redis_client: redis.Redis, what: str
) -> None:
    redis_client.hset("resque:persistent_schedules", "x", HOSTILE[what])
    redis_client.hset("resque:persistent_schedules", "y", '{"every":"1h","queue":"q"}')
    add(store, "a")
    cron.run(store)
    assert names(store) == ["a"]
    assert set(store.cron.read().entries) == {"a", "y"}


def test_entries_of_ruby_that_cannot_be_written_hold_up_no_tick(
    store: Store,
    redis_url: str,
    watch: DueWatch,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("gresque.maintenance.cron.REFUSED_SECONDS", 0.05)
    redis_client.hset("resque:persistent_schedules", "x", '{"every":"1h","queue":"q"}')
    add(store, "a")
    cron = ticker(redis_url, watch)

    def refuse(*args: Any) -> Any:
        raise redis.ResponseError("OOM command not allowed")

    with monkeypatch.context() as patched:
        patched.setattr(store.cron, "put", refuse)
        cron.run(store)
    assert names(store) == ["a"]
    assert "not followed" in caplog.text

    def is_followed() -> bool:
        if cron.due(time.monotonic()) <= 0:
            cron.run(store)
        return set(store.cron.read().entries) == {"a", "x"}

    wait_for(is_followed, seconds=20)  # though nothing changes any more


def test_what_this_machine_lacks_for_an_entry_of_a_ruby_program(
    store: Store, redis_client: redis.Redis, redis_url: str
) -> None:
    lease = Lease("me")
    lease.run(store)
    config = '{"cron":"0 9 * * * Mars/Olympus","class":"A","queue":"q"}'
    redis_client.hset(store.keys.persistent_schedules, "far", config)
    CronTicks(lease, Settings.load({"redis_url": redis_url, "queues": "q"}, {})).run(store)
    assert lease.held and not redis_client.exists(store.keys.maintenance)
