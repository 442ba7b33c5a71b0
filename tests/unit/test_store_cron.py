"""The scripts of the schedule, as tables: Redis before, a call, Redis after."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from gresque.store.cron_snapshot import Change, Push, Snapshot, Tick
from gresque.store.store import Store

OLD, NEW = b'{"old":1}', b'{"new":1}'


@pytest.fixture
def one(store: Store) -> Store:
    """With one entry, due at 10."""
    assert store.cron.put([Change("a", b"", OLD, 10)])[1] == []
    return store


def test_an_empty_schedule(store: Store, redis_client: redis.Redis) -> None:
    assert store.cron.read() == Snapshot({}, {}, {}, set())
    assert store.cron.counts() == (0, 0)
    assert store.cron.put([]) == (pytest.approx(store.now() * 1000, abs=5000), [])
    assert store.cron.put([], "app")[1] == []
    assert not store.cron.has_app("app")
    assert redis_client.keys() == []


CHANGES: dict[str, tuple[Change, Any, Any]] = {
    # what: the change, the entry and its tick after it
    "other times": (Change("a", OLD, NEW, 20), NEW, 20),
    "same times": (Change("a", OLD, NEW, 20, keep=True), NEW, 10),
    "no tick": (Change("a", OLD, NEW, None), NEW, None),
    "removed": (Change("a", OLD, b"", None), None, None),
    "not as it was read": (Change("a", b"{}", NEW, 20), OLD, 10),
    "there already": (Change("a", b"", NEW, 20), OLD, 10),
}


@pytest.mark.parametrize("what", CHANGES)
def test_put(one: Store, what: str) -> None:
    change, entry, tick = CHANGES[what]
    refused = ["a"] if entry == OLD else []
    assert one.cron.put([change])[1] == refused
    found = one.cron.read()
    assert found.entries.get("a") == entry
    assert found.next.get("a") == tick


def test_a_lost_tick_comes_back(one: Store, redis_client: redis.Redis) -> None:
    redis_client.delete("resque:cron:next")
    one.cron.put([Change("a", OLD, OLD, 20, keep=True)])
    assert one.cron.read().next == {"a": 20}


def test_any_name(store: Store) -> None:
    """The scripts begin with a write that changes nothing."""
    store.cron.put([Change("none", b"", OLD, 10)])
    store.cron.put([])
    store.cron.pause("other", OLD)
    assert run(store, Tick("none", OLD, 10, 20), b"")


def test_many_at_once(store: Store) -> None:
    changes = [Change(f"é{number}", b"", NEW, number) for number in range(1100)]
    assert store.cron.put(changes)[1] == []
    found = store.cron.read()
    assert found.next == {f"é{number}": number for number in range(1100)}


def test_the_newest_master_declares(store: Store) -> None:
    first, _ = store.cron.put([Change("a", b"", OLD, 10)], "app")
    assert store.cron.put([Change("a", OLD, OLD, 10)], "app", first) == (first, [])
    second, _ = store.cron.put([Change("a", OLD, NEW, 10)], "app")
    assert second > first
    assert store.cron.put([Change("a", NEW, OLD, 10)], "app", first) == (0, [])
    assert store.cron.entry("a") == NEW
    assert store.cron.put([Change("a", NEW, b"", None)], "other", first)[0] == first
    assert store.cron.has_app("app") and store.cron.has_app("other")


def run(store: Store, tick: Tick, raw: bytes = b"job") -> bool:
    """True when it is done; raises what is refused."""
    (reply,) = store.cron.tick([Push(tick, "q", raw, "10 id", "then")])
    if isinstance(reply, Exception):
        raise reply
    return reply


def ran(store: Store) -> tuple[list[bytes], dict[str, int], dict[str, tuple[int, str]]]:
    found = store.cron.read()
    return store.queues.peek("q", 0, 9), found.next, found.last


def test_a_tick_runs_once(one: Store, redis_client: redis.Redis) -> None:
    tick = Tick("a", OLD, 10, 20)
    assert run(one, tick)
    assert not run(one, tick)
    assert ran(one) == ([b"job"], {"a": 20}, {"a": (10, "id")})
    assert one.queues.names() == ["q"]
    assert redis_client.hgetall("resque:delayed:last_enqueued_at") == {b"a": b"then"}


def test_many_ticks_in_one_round_trip(one: Store, redis_client: redis.Redis) -> None:
    """Each is compared by itself, also after one that is refused."""
    one.cron.put([Change("\udcff", b"", OLD, 10), Change("b", b"", OLD, 10)])
    redis_client.set("resque:queue:theirs", "theirs")
    pushes = [
        Push(Tick("a", OLD, 10, 20), "q", b"1", "10 id", "then"),
        Push(Tick("a", OLD, 20, 30), "q", b"2", "20 id", "then"),
        Push(Tick("b", OLD, 10, 20), "theirs", b"3", "10 id", "then"),
        Push(Tick("b", OLD, 20, 30), "theirs", b"4", "20 id", "then"),
        Push(Tick("\udcff", OLD, 10, 20), "\udcff", b"5", "10 id", "then"),
    ]
    replies = one.cron.tick(pushes)
    assert [type(reply) for reply in replies] == [int, int, redis.ResponseError, int, int]
    assert [reply for reply in replies if isinstance(reply, int)] == [1, 1, 0, 1]
    assert one.cron.read().next == {"a": 30, "b": 10, "\udcff": 20}
    assert one.queues.peek("q", 0, 9) == [b"1", b"2"]
    assert one.queues.peek("\udcff", 0, 9) == [b"5"]
    assert one.cron.tick([]) == []


def test_a_tick_that_does_not_run(one: Store) -> None:
    assert run(one, Tick("a", OLD, 10, 20), b"")
    assert ran(one) == ([], {"a": 20}, {})
    assert one.queues.names() == []


def test_the_last_tick(one: Store) -> None:
    assert run(one, Tick("a", OLD, 10, None))
    assert ran(one) == ([b"job"], {}, {"a": (10, "id")})


def test_no_tick_of_an_entry_that_has_changed(one: Store) -> None:
    one.cron.put([Change("a", OLD, NEW, 10, keep=True)])
    assert not run(one, Tick("a", OLD, 10, 20))
    one.cron.pause("a", NEW)
    assert not run(one, Tick("a", NEW, 10, 20))
    assert ran(one) == ([], {}, {})


@pytest.mark.parametrize("key", ["resque:queue:q", "resque:queues"])
def test_a_refused_push_leaves_the_tick(one: Store, redis_client: redis.Redis, key: str) -> None:
    redis_client.set(key, "theirs")
    with pytest.raises(redis.ResponseError, match=rf"WRONGTYPE.*: {key}"):
        run(one, Tick("a", OLD, 10, 20))
    found = one.cron.read()
    assert (found.next, found.last) == ({"a": 10}, {})


def test_what_cannot_be_shown_holds_up_no_tick(one: Store, redis_client: redis.Redis) -> None:
    redis_client.set("resque:delayed:last_enqueued_at", "theirs")
    redis_client.set("resque:cron:last", "theirs")
    assert run(one, Tick("a", OLD, 10, 20))
    assert ran(one) == ([b"job"], {"a": 20}, {})


def test_pause_and_resume(one: Store) -> None:
    cron = one.cron
    assert [cron.pause("a", OLD), cron.pause("a", OLD), cron.pause("a", NEW)] == [1, 0, -1]
    assert cron.read() == Snapshot({"a": OLD}, {}, {}, {"a"})
    assert cron.counts() == (1, 1)
    cron.put([Change("a", OLD, NEW, 30)])
    assert cron.read().next == {}, "it stays paused"
    assert [cron.resume("a", OLD, 40), cron.resume("a", NEW, 40), cron.resume("a", NEW, 50)] == [
        -1, 1, 0,
    ]  # fmt: skip
    assert cron.read() == Snapshot({"a": NEW}, {"a": 40}, {}, set())
    cron.pause("a", NEW)
    cron.put([Change("a", NEW, b"", None)])
    assert cron.read() == Snapshot({}, {}, {}, set())


def test_due(store: Store) -> None:
    store.cron.put([Change(f"e{at}", b"", OLD, at) for at in (30, 10, 20)])
    assert store.cron.due(20) == [("e10", 10), ("e20", 20)]
    assert [store.cron.first_after(at) for at in (5, 20, 30)] == [10, 30, None]
    assert store.cron.entries(["e10", "none", "e20"]) == [OLD, None, OLD]
    store.cron.forget_next("e10")
    assert store.cron.due(20) == [("e20", 20)]


def test_entries_of_ruby(store: Store, redis_client: redis.Redis) -> None:
    redis_client.hset("resque:persistent_schedules", "a", "{}")
    assert store.cron.ruby() == {"a": b"{}"}
    store.cron.remove_ruby("a")
    assert store.cron.ruby() == {}
    assert redis_client.smembers("resque:schedules_changed") == {b"a"}
