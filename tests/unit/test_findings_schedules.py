from __future__ import annotations

from gresque.inspector.findings.schedules import schedules
from gresque.schedule.entry import Entry
from gresque.store.cron_snapshot import Change
from gresque.store.store import Store
from tests.support.views import process, view


def add(store: Store, name: str, age: float) -> None:
    entry = Entry(name=name, every=3600.0, job="A", queue="q")
    tick = int((store.now() - age) * 1000)
    store.cron.put([Change(name, b"", entry.to_json(), tick)])


def test_nothing_is_wrong(store: Store) -> None:
    assert list(schedules(view(store))) == []
    add(store, "due soon", -60)
    add(store, "due now", 5)
    assert list(schedules(view(store))) == []


def test_what_is_due_and_does_not_run(store: Store) -> None:
    add(store, "first", 600)
    (found,) = schedules(view(store))
    assert found.is_broken
    assert found.message.startswith("schedule entry first is due and not run for 10 min: ")
    add(store, "second", 60)
    (found,) = schedules(view(store))
    assert found.message.startswith("schedule entry first and 1 more are due")
    assert found.details["entries"] == ["first", "second"]


def declare(store: Store, name: str, app: str, source: str = "code") -> None:
    entry = Entry(name=name, every=3600.0, job="A", queue="q", app=app, source=source)
    store.cron.put([Change(name, b"", entry.to_json(), 10**13)])


def test_entries_of_a_program_that_no_worker_runs(store: Store) -> None:
    """Its modules were changed, and the entries removed from the code at the same time."""
    declare(store, "ours", "app")
    declare(store, "theirs", "app,more")
    declare(store, "their file", "app,more", "file")
    declare(store, "by hand", "", "dynamic")
    assert list(schedules(view(store))) == [], "no worker runs at all"
    process(store.redis)
    (found,) = schedules(view(store))
    assert not found.is_broken
    assert found.message.startswith(
        "schedule entry their file and 1 more is enqueued, and no worker with -r app,more runs"
    )
    assert found.commands[1] == "gresque cron remove 'their file' theirs"
    process(store.redis, "h:2:q:2:1", state=None)
    assert list(schedules(view(store))) == [], "this one may run them"
    store.redis.zrem(store.keys.ledgers, "h:2:q:2:1")
    for name in ("their file", "theirs"):
        raw = store.cron.entry(name)
        assert raw is not None
        store.cron.pause(name, raw)
    assert list(schedules(view(store))) == []


def test_entries_that_another_machine_may_read(store: Store) -> None:
    """Workers run them: nothing is broken."""
    raw = b'{"name":"%s","cron":"0 9 * * *","tz":"Mars/Olympus","job":"A","queue":"q"}'
    store.cron.put([Change(name, b"", raw % name.encode(), 10**13) for name in ("a", "b")])
    (found,) = schedules(view(store))
    assert not found.is_broken
    assert found.message.startswith("schedule entry a and 1 more: the zone 'Mars/Olympus' is")


def test_an_entry_that_cannot_run(store: Store) -> None:
    store.cron.put([Change("wrong", b"", b"{}", 5)])
    (found,) = schedules(view(store))
    assert found.message.startswith("schedule entry wrong cannot run: it cannot be read")
    assert found.commands == ("gresque cron list",)
