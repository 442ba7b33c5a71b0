"""`gresque.schedules`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import redis

import gresque
from gresque.client.schedules import next_times
from gresque.jobs.registry import registry
from gresque.schedule.entry import Entry
from gresque.store.cron_snapshot import Change
from gresque.store.store import Store


@pytest.fixture(autouse=True)
def _configured(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_definitions", {})
    monkeypatch.setattr(registry, "find", registry._definitions.get)
    client = gresque.configure(redis_url)
    yield
    client.close()


def only() -> gresque.ScheduleEntry:
    (found,) = gresque.schedules.list()
    return found


def test_an_entry_is_set_changed_and_removed(store: Store, redis_client: redis.Redis) -> None:
    schedules = gresque.schedules
    schedules.set("a", cron="0 9 * * *", tz="Europe/Berlin", job="A", queue="q", args=[1])
    found = only()
    assert (found.schedule, found.job, found.queue, found.args, found.source) == (
        "0 9 * * * Europe/Berlin", "A", "q", [1], "dynamic",
    )  # fmt: skip
    assert found.next is not None and found.next.tzinfo == ZoneInfo("Europe/Berlin")
    assert (found.next.hour, found.next.minute) == (9, 0)
    assert timedelta(0) < found.next - datetime.now(UTC) <= timedelta(days=1, hours=1)
    schedules.set("a", every="1h", job="B", queue="q")
    assert (only().schedule, only().job, only().args) == ("every 1h", "B", [])
    schedules.remove("a")
    assert schedules.list() == []
    assert redis_client.keys() == []


def test_the_tick_stays_where_only_the_job_changes(store: Store) -> None:
    gresque.schedules.set("a", every=60, job="A", queue="q")
    store.redis.zadd("resque:cron:next", {"a": 5})
    gresque.schedules.set("a", every=60, job="B", queue="q")
    assert store.cron.read().next == {"a": 5}
    gresque.schedules.set("a", every=61, job="B", queue="q")
    assert store.cron.read().next["a"] > 5


def test_times_may_be_timedeltas() -> None:
    gresque.schedules.set(
        "nightly", every=timedelta(minutes=1), job="A", queue="q",
        max_late_seconds=timedelta(minutes=5), jitter_seconds=timedelta(seconds=2),
    )  # fmt: skip
    (entry,) = gresque.schedules.list()
    assert (entry.max_late_seconds, entry.jitter_seconds) == (300, 2)


def test_a_declared_job_brings_what_it_declares() -> None:
    @gresque.job(queue="mail", name="mail.send", on_dirty_exit="fail")
    def send(user: int) -> None: ...

    for number, job in enumerate((send, "mail.send")):
        gresque.schedules.set(str(number), every=60, job=job, args=[1])
    for found in gresque.schedules.list():
        assert (found.job, found.queue) == ("mail.send", "mail")
    with pytest.raises(gresque.EnqueueError):
        gresque.schedules.set("wrong", every=60, job=send)


def test_run_now(store: Store) -> None:
    gresque.schedules.set("a", every=3600, job="A", queue="q", args={"x": 1})
    gresque.schedules.pause("a")
    job_id = gresque.schedules.run_now("a")
    (raw,) = store.queues.peek("q", 0, 9)
    item = json.loads(raw)
    assert (item["id"], item["class"], item["args"]) == (job_id, "A", [{"x": 1, "_kwargs": True}])
    assert item["gresque"]["cron"] == "a"
    assert datetime.fromisoformat(item["gresque"]["scheduled_for"]).tzinfo


def test_run_now_with_a_job_that_has_not_ended(store: Store) -> None:
    gresque.schedules.set("a", every=3600, job="A", queue="q", overlap="skip")
    assert only().overlap == "skip" and only().as_dict()["overlap"] == "skip"
    first = gresque.schedules.run_now("a")
    second = gresque.schedules.run_now("a")
    assert (second, second.duplicate, first.duplicate) == (first, True, False)
    (lock,) = gresque.locks()
    assert (lock.key, lock.job_id, lock.unique) == ("schedule entry a", first, "both")
    assert gresque.remove_queue("q") == 1
    assert gresque.schedules.run_now("a") != first


def test_a_unique_job_has_its_own_lock(store: Store) -> None:
    @gresque.job(queue="q", name="once", unique="both")
    def once(number: int) -> None: ...

    gresque.schedules.set("a", every=3600, job=once, args=[7])
    first = once.enqueue(7)
    assert first is not None
    found = gresque.schedules.run_now("a")
    assert (found, found.duplicate) == (first, True)
    with pytest.raises(gresque.ScheduleError, match="leave out overlap='skip'"):
        gresque.schedules.set("b", every=3600, job=once, args=[7], overlap="skip")
    with pytest.raises(gresque.ScheduleError, match="overlap='never' is unknown; give 'allow' or"):
        gresque.schedules.set("b", every=3600, job="A", queue="q", overlap="never")


def test_pause_and_resume(store: Store) -> None:
    gresque.schedules.set("a", every=60, job="A", queue="q")
    assert [gresque.schedules.pause("a"), gresque.schedules.pause("a")] == [True, False]
    assert (only().paused, only().next) == (True, None)
    gresque.schedules.set("a", every=90, job="A", queue="q")
    assert only().paused, "also when it is set again"
    assert [gresque.schedules.resume("a"), gresque.schedules.resume("a")] == [True, False]
    assert only().next is not None
    gresque.schedules.set("b", every=60, job="A", queue="q", enabled=False)
    assert gresque.schedules.list()[1].next is None
    with pytest.raises(gresque.ScheduleError, match="with enabled=False; change it there"):
        gresque.schedules.resume("b")


def test_the_next_time_is_skipped_and_the_ones_after_it_stay(store: Store) -> None:
    gresque.schedules.set("a", cron="0 9 * * *", tz="Europe/Berlin", job="A", queue="q")
    times = gresque.schedules.next("a", 3)
    assert gresque.schedules.skip("a") == times[0]
    assert (only().next, gresque.schedules.next("a", 2)) == (times[1], times[1:])
    gresque.schedules.set("a", cron="0 9 * * *", tz="Europe/Berlin", job="B", queue="q")
    assert only().next == times[1], "also when the same times are declared again"
    gresque.schedules.pause("a")
    assert gresque.schedules.skip("a") is None
    gresque.schedules.resume("a")
    assert only().next == times[0], "a pause forgets it"


def test_next() -> None:
    gresque.schedules.set("a", cron="0 9 * * * Europe/Berlin", job="A", queue="q")
    gresque.schedules.pause("a")
    found = gresque.schedules.next("a", 3)
    assert [time.hour for time in found] == [9, 9, 9]
    berlin = Entry(name="a", cron="30 2 * * *", tz="Europe/Berlin", job="A", queue="q")
    gap = int(datetime(2026, 3, 28, 12, tzinfo=UTC).timestamp()) * 1000
    assert [time.isoformat() for time in next_times(berlin, gap, 2)] == [
        "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00",
    ]  # fmt: skip
    (late,) = next_times(Entry(name="a", every=60.0, job="A", queue="q", jitter_seconds=60), 0, 1)
    assert 60 < late.timestamp() < 120


def test_entries_that_are_declared_elsewhere(store: Store, redis_client: redis.Redis) -> None:
    for source, maker in (("code", "in the code of app"), ("ruby", "set by a Ruby program")):
        entry = Entry(name=source, every=60.0, job="A", queue="q", source=source, app="app")
        store.cron.put([Change(source, b"", entry.to_json(), 10)])
        with pytest.raises(gresque.ScheduleError, match=f"{maker}; change it there"):
            gresque.schedules.set(source, every=90, job="A", queue="q")
    redis_client.hset("resque:persistent_schedules", "ruby", "{}")
    gresque.schedules.remove("ruby")
    assert redis_client.smembers("resque:schedules_changed") == {b"ruby"}
    assert not redis_client.exists("resque:persistent_schedules")
    gresque.schedules.remove("code")
    assert gresque.schedules.list() == []


def test_an_entry_that_cannot_be_read_is_listed(store: Store) -> None:
    store.cron.put([Change("a", b"", b"{}", 10)])
    assert (only().name, only().error) == (
        "a", "it cannot be read: Object missing required field `name`",
    )  # fmt: skip
    with pytest.raises(gresque.ScheduleError, match="entry 'a': it cannot be read"):
        gresque.schedules.run_now("a")
    gresque.schedules.set("a", every=60, job="A", queue="q")
    assert only().error is None


def test_wrong_input() -> None:
    schedules = gresque.schedules
    schedules.set("nightly", every=60, job="A", queue="q")
    wrong = [
        (lambda: schedules.set("a", job="A", queue="q"), "give either cron= or every="),
        (lambda: schedules.set("a", every=5, tz="UTC", job="A", queue="q"), "leave out tz="),
        (lambda: schedules.set("a", every=5, job="A"), "give queue="),
        (lambda: schedules.set("a", every=5, job=5), "5 is not a job"),
        (lambda: schedules.set("", every=5, job="A", queue="q"), "not the name of an entry"),
        (lambda: schedules.set(3, every=5, job="A", queue="q"), "3 is not the name of an entry"),
        (lambda: schedules.pause(None), "None is not the name of an entry"),
        (lambda: schedules.next("nightly", -1), "count=-1"),
        (lambda: schedules.next("nightly", "2"), "count='2'"),
        (lambda: schedules.remove("nihgtly"), "there is 'nightly'"),
        (lambda: schedules.pause("x"), "gresque cron list shows all"),
    ]
    for call, message in wrong:
        with pytest.raises(gresque.ScheduleError) as raised:
            call()  # type: ignore[no-untyped-call]
        assert message in str(raised.value)
