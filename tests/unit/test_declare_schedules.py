"""What a master declares at its start."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import redis

from gresque.client.declare_schedules import declare_schedules
from gresque.schedule.declared import app_of
from gresque.schedule.entry import Entry, from_json
from gresque.store.cron_snapshot import Change
from gresque.store.store import Store


def entry(name: str, every: float = 60.0, source: str = "code") -> Entry:
    return Entry(name=name, every=every, job="A", queue="q", source=source)


def declared(store: Store) -> dict[str, tuple[float | None, str]]:
    found = {name: from_json(raw) for name, raw in store.cron.read().entries.items()}
    return {name: (each.every, each.app) for name, each in found.items()}


def test_app_of() -> None:
    assert app_of(["b.jobs", "a.jobs", "b.jobs"]) == "a.jobs,b.jobs"


def test_entries_come_change_and_go(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    declare_schedules(store, "app", [entry("a"), entry("b"), entry("c", source="file")])
    declare_schedules(store, "other", [entry("d")])
    store.cron.put([Change("e", b"", entry("e", source="dynamic").to_json(), 5)])
    ticks = store.cron.read().next
    declare_schedules(store, "app", [entry("a"), entry("b", 90.0)])
    assert declared(store) == {
        "a": (60, "app"), "b": (90, "app"), "d": (60, "other"), "e": (60, ""),
    }  # fmt: skip
    after = store.cron.read().next
    assert after["a"] == ticks["a"]
    assert after["b"] % 90_000 == 0
    (record,) = caplog.records
    assert record.message == "schedule entry c is removed: app declares it no more"


def test_the_newest_master_wins(store: Store) -> None:
    """Also when a process of an older one declares again."""
    old = declare_schedules(store, "app", [entry("a"), entry("gone")])
    new = declare_schedules(store, "app", [entry("a", 90.0)])
    assert new > old
    assert declare_schedules(store, "app", [entry("a"), entry("gone")], old) == 0
    assert declared(store) == {"a": (90, "app")}
    assert declare_schedules(store, "app", [entry("a", 90.0)], new) == new
    back = declare_schedules(store, "app", [entry("a"), entry("gone")])
    assert back > new
    assert declared(store) == {"a": (60, "app"), "gone": (60, "app")}


def test_declaring_the_same_writes_nothing(store: Store, redis_client: redis.Redis) -> None:
    boot = declare_schedules(store, "app", [entry("a"), entry("b")])
    store.cron.pause("b", store.cron.read().entries["b"])
    before = changes(redis_client)
    assert declare_schedules(store, "app", [entry("a"), entry("b")], boot) == boot
    assert changes(redis_client) == before
    redis_client.delete("resque:cron:next")
    assert declare_schedules(store, "app", [entry("a"), entry("b")], boot) == boot
    assert store.cron.read().next.keys() == {"a"}


def changes(client: redis.Redis) -> int:
    found: Any = client.info("persistence")
    return int(found["rdb_changes_since_last_save"])


def test_a_server_that_forgot_has_them_again(store: Store, redis_client: redis.Redis) -> None:
    boot = declare_schedules(store, "app", [entry("a")])
    redis_client.flushall()
    assert declare_schedules(store, "app", [entry("a")], boot) == boot
    assert declared(store) == {"a": (60, "app")}


def test_a_pause_survives(store: Store) -> None:
    declare_schedules(store, "app", [entry("a")])
    store.cron.pause("a", store.cron.read().entries["a"])
    declare_schedules(store, "app", [entry("a", 90.0)])
    found = store.cron.read()
    assert (found.paused, found.next) == ({"a"}, {})


def test_a_program_without_schedules_writes_nothing(
    store: Store, redis_client: redis.Redis
) -> None:
    assert declare_schedules(store, "app", []) == 0
    assert redis_client.keys() == []
    declare_schedules(store, "app", [entry("a")])
    declare_schedules(store, "app", [])
    assert declared(store) == {}


def test_an_entry_that_is_changed_meanwhile(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    read, put = store.cron.read, store.cron.put

    def read_and_change():  # type: ignore[no-untyped-def]
        found = read()
        monkeypatch.setattr(store.cron, "read", read)
        put([Change("a", b"", entry("a", source="dynamic").to_json(), 5)])
        return found

    monkeypatch.setattr(store.cron, "read", read_and_change)
    declare_schedules(store, "app", [entry("a", 90.0)])
    assert declared(store) == {"a": (90, "app")}


def test_a_master_without_a_schedule_file_leaves_those_of_a_file(
    store: Store, redis_client: redis.Redis
) -> None:
    """As where one of two pools of a program reads the file: neither undoes what the other does."""
    both = [entry("code"), entry("file", source="file")]
    reads = declare_schedules(store, "app", both)
    other = declare_schedules(store, "app", both[:1], has_file=False)
    assert set(declared(store)) == {"code", "file"}
    redis_client.flushall()
    assert declare_schedules(store, "app", both[:1], other, has_file=False) == other
    declare_schedules(store, "app", both, reads)
    assert set(declared(store)) == {"code", "file"}
    declare_schedules(store, "app", both[:1])  # its file is empty
    assert set(declared(store)) == {"code"}


def test_an_entry_moves_between_code_and_file(store: Store) -> None:
    declare_schedules(store, "app", [entry("a"), entry("b", source="file")])
    ticks = store.cron.read().next
    declare_schedules(store, "app", [entry("b"), entry("a", source="file")])
    assert store.cron.read().next == ticks
    found = {name: from_json(raw).source for name, raw in store.cron.read().entries.items()}
    assert found == {"a": "file", "b": "code"}
