"""The store: what it asks of Redis, as tables."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import redis

from gresque.store.bulk import BULK_JOBS as BULK
from gresque.store.commands import (
    Blocking,
    Command,
    Fate,
    Kill,
    KillAnswer,
    Running,
    read_kill_answer,
)
from gresque.store.ledger import LedgerEntry, Totals
from gresque.store.recovery import Move
from gresque.store.store import Store

Redis = redis.Redis
KEY = b"resque:queue:a"


def entry(raw: bytes) -> bytes:
    return b"%d:%s%s" % (len(KEY), KEY, raw)


def snapshot(client: Redis) -> dict[bytes, Any]:
    return {key: client.dump(key) for key in client.scan_iter()}


# Queues


def test_it_connects_at_the_first_call(tmp_path: Any) -> None:
    store = Store(f"unix://{tmp_path}/none", "resque")
    with pytest.raises(redis.ConnectionError):
        store.queues.names()


def test_push(store: Store, redis_client: Redis) -> None:
    store.queues.push("a", b"1")
    store.queues.push("a", b"\xff\0")
    assert redis_client.lrange(KEY, 0, -1) == [b"1", b"\xff\0"]
    assert redis_client.smembers("resque:queues") == {b"a"}


@pytest.mark.parametrize(
    ("count", "trips"),
    [(0, []), (1, [1]), (BULK, [BULK]), (BULK + 1, [BULK, 1]), (2 * BULK, [BULK, BULK])],
)
def test_push_many(store: Store, redis_client: Redis, count: int, trips: list[int]) -> None:
    raws = [str(number).encode() for number in range(count)]
    assert list(store.queues.push_many("a", iter(raws))) == trips
    assert redis_client.lrange(KEY, 0, -1) == raws
    assert redis_client.exists("resque:queues") == bool(count)


def test_push_many_goes_as_far_as_it_is_read(store: Store, redis_client: Redis) -> None:
    pushed = store.queues.push_many("a", (b"x" for _ in range(5000)))
    next(pushed)
    next(pushed)
    assert redis_client.llen(KEY) == 2000
    pushed.close()
    assert redis_client.llen(KEY) == 2000


def test_names_and_sizes(store: Store, redis_client: Redis) -> None:
    assert (store.queues.names(), store.queues.sizes()) == ([], {})
    for name, count in (("b", 2), ("a", 1), ("日本", 3), ("a:b c", 1)):
        for _ in range(count):
            store.queues.push(name, b"x")
    redis_client.sadd("resque:queues", "empty")
    assert store.queues.names() == ["a", "a:b c", "b", "empty", "日本"]
    assert store.queues.sizes() == {"a": 1, "a:b c": 1, "b": 2, "empty": 0, "日本": 3}
    assert store.queues.size("b") == 2
    assert store.queues.size("never was") == 0


def test_a_key_of_another_type_does_not_break_the_sizes(store: Store, redis_client: Redis) -> None:
    store.queues.push("a", b"x")
    redis_client.sadd("resque:queues", "odd")
    redis_client.set("resque:queue:odd", "x")
    assert store.queues.sizes() == {"a": 1, "odd": 0}
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        store.queues.size("odd")


@pytest.mark.parametrize(
    ("start", "count", "found"),
    [(0, 1, "a"), (0, 3, "abc"), (1, 3, "bcd"), (3, 9, "d"), (4, 1, ""), (-2, 2, "cd")],
)
def test_peek(store: Store, start: int, count: int, found: str) -> None:
    for raw in "abcd":
        store.queues.push("a", raw.encode())
    assert b"".join(store.queues.peek("a", start, count)).decode() == found


@pytest.mark.parametrize(
    ("before", "items", "removed", "after"),
    [
        ("", "a", 0, ""), ("abab", "a", 2, "bb"), ("abab", "ab", 4, ""), ("abc", "x", 0, "abc"),
        ("abc", "", 0, "abc"), ("aaa", "aa", 3, ""),
    ],
)  # fmt: skip
def test_remove_items(
    store: Store, redis_client: Redis, before: str, items: str, removed: int, after: str
) -> None:
    for raw in before:
        store.queues.push("a", raw.encode())
    assert store.queues.remove_items("a", [raw.encode() for raw in items]) == removed
    assert b"".join(redis_client.lrange(KEY, 0, -1)).decode() == after


def test_remove_queue(store: Store, redis_client: Redis) -> None:
    store.queues.push("a", b"1")
    store.queues.push("b", b"2")
    assert store.queues.remove("a") == 1
    assert store.queues.remove("a") == 0
    assert set(redis_client.keys("resque:queue*")) == {b"resque:queues", b"resque:queue:b"}


# Counters


def test_stats(store: Store, redis_client: Redis) -> None:
    redis_client.set("resque:stat:processed", 12)
    keys = store.keys
    assert store.stats.values([keys.processed, keys.failures, keys.worker_stat("failed", "w")]) == [
        12, 0, 0,
    ]  # fmt: skip
    redis_client.set("resque:stat:failed", "not a number")
    redis_client.delete("resque:stat:processed")
    redis_client.lpush("resque:stat:processed", "x")
    assert store.stats.values([keys.processed, keys.failures]) == [0, 0]


# Workers


def test_workers(store: Store, redis_client: Redis) -> None:
    assert (store.workers.ids(), store.workers.heartbeats(), store.workers.started([])) == (
        [],
        {},
        {},
    )
    redis_client.sadd("resque:workers", "w2", "w1")
    redis_client.set("resque:worker:w1:started", "2026-11-23 15:33:10 +0000")
    redis_client.hset("resque:workers:heartbeat", "w1", "2026-11-23T15:33:10+00:00")
    assert store.workers.ids() == ["w1", "w2"]
    assert store.workers.heartbeats() == {"w1": "2026-11-23T15:33:10+00:00"}
    assert store.workers.started(["w1", "w2"]) == {"w1": "2026-11-23 15:33:10 +0000", "w2": ""}


def hold(client: Redis, process: str = "p", state: str = "3 2 0 0 0", **slots: bytes) -> None:
    fields = {slot.removeprefix("_"): entry(raw) for slot, raw in slots.items()}
    client.hset(f"resque:ledger:{process}", mapping={"state": state, **fields})  # type: ignore[dict-item]
    client.zadd("resque:ledgers", {process: 1000})


def test_ledgers(store: Store, redis_client: Redis) -> None:
    assert (store.processes.ids(), store.processes.beats(), store.processes.held_counts([])) == (
        [],
        {},
        [],
    )
    assert store.processes.ledger("p") == ({}, Totals(), False, {}, None)
    hold(redis_client, "p", "3 2 1 0 0", _0=b"x", _7=b"\xff:")
    hold(redis_client, "q")
    assert store.processes.ids() == ["p", "q"]
    assert store.processes.beats() == {"p": 1.0, "q": 1.0}
    assert store.processes.held_counts(["p", "q", "none"]) == [2, 0, 0]
    held = store.processes.ledger("p")
    assert held.entries == {b"0": LedgerEntry(KEY, b"x"), b"7": LedgerEntry(KEY, b"\xff:")}
    assert held.totals == Totals(2, 1, 0, 0)


def test_running(store: Store, redis_client: Redis) -> None:
    assert not store.processes.running("p")
    since = {"0": 1.5, "12": 1764000000.25}
    for blocking in (None, Blocking("12", 1764000001.5, ["a.py:3:in `f'"])):
        redis_client.set("resque:running:p", Running(since, blocking).encode())
        assert store.processes.running("p") == Running(since, blocking)


def test_orders_and_answers(store: Store, redis_client: Redis) -> None:
    order = Command("kill", "token", "an id with spaces \udcff", by="ana@vm")
    store.commands.give({"p": order})
    assert 0 < redis_client.ttl("resque:commands:p") <= 60
    (raw,) = redis_client.lrange("resque:commands:p", 0, -1)
    assert Command.parse(raw) == order
    assert store.commands.answers(["token"]) == [None]
    store.commands.give_answer("token", [])
    assert 0 < redis_client.ttl("resque:answer:token") <= 60
    assert store.commands.answers(["token", "other"]) == [[], None]


@pytest.mark.parametrize("raw", [b"", b"kill", b"stacks token", b"\xff \xff"])
def test_an_order_of_any_shape_is_one(raw: bytes) -> None:
    assert Command.parse(raw).name == raw.split(b" ")[0].decode("utf-8", "surrogateescape")


def test_a_kill_and_its_answers(store: Store, redis_client: Redis) -> None:
    for _ in range(2):
        store.commands.ask_kills([Kill("p", "token", "an id \udcff", "ana")], 100)
    assert redis_client.llen("resque:commands:p") == 2
    assert store.commands.kills("p") == {"token": "an id \udcff"}
    assert 100 < redis_client.ttl("resque:kills:p") <= 160

    def answer() -> KillAnswer | None:
        return read_kill_answer(redis_client.lrange("resque:answer:token", 0, -1))

    assert answer() is None
    for fate in (Fate.DELIVERED, Fate.GUARDED, Fate.DEAD, Fate.DELIVERED, Fate.ENDED):
        store.commands.give_answer("token", KillAnswer(fate))
    assert answer() == KillAnswer(Fate.DEAD)  # the first that is final
    redis_client.ltrim("resque:answer:token", 0, 1)
    assert answer() == KillAnswer(Fate.GUARDED)


def test_what_a_kill_looks_for_besides(store: Store, redis_client: Redis) -> None:
    assert not store.processes.has_ledger("p")
    redis_client.zadd("resque:ledgers", {"p": 1})
    assert store.processes.has_ledger("p")
    assert not store.processes.is_fenced("p")
    redis_client.hset("resque:ledger:p", "state", "0 0 0 0 0")
    store.recovery.fence("p")
    assert store.processes.is_fenced("p")
    entry = LedgerEntry(b"resque:queue:q", b"{}")
    assert not store.queues.is_in_head(entry, 2)
    redis_client.rpush("resque:queue:q", "a", "{}")
    assert store.queues.is_in_head(entry, 2)
    assert not store.queues.is_in_head(entry, 1)


def test_the_servers_clock(store: Store) -> None:
    assert abs(store.now() - time.time()) < 5


@pytest.mark.parametrize("times", [1, 2])
def test_a_script_is_brought_along(store: Store, redis_client: Redis, times: int) -> None:
    hold(redis_client)
    for _ in range(times):
        redis_client.script_flush()
        store.recovery.fence("p")
    assert store.recovery.fence("p").totals == Totals(2, 0, 0, 0)


# Fencing and recovering


def test_fence(store: Store, redis_client: Redis) -> None:
    hold(redis_client, _0=b"x")
    held = store.recovery.fence("p")
    assert held == store.recovery.fence("p")
    assert held == ({b"0": LedgerEntry(KEY, b"x")}, Totals(2, 0, 0, 0), True, {}, None)
    assert redis_client.hget("resque:ledger:p", "state") == b"fenced 3 2 0 0 0"
    assert store.recovery.fence("none") == ({}, Totals(), False, {}, None)
    assert not redis_client.exists("resque:ledger:none")


def test_recover(store: Store, redis_client: Redis) -> None:
    hold(redis_client, _0=b"x", _1=b"y", _2=b"z")
    store.recovery.fence("p")
    moves = [
        Move(b"0", "requeue", KEY, b"x", "q"),
        Move(b"1", "fail", b"resque:failed", b"\xffentry", ""),
    ]
    assert store.recovery.recover("p", moves)[:3] == (1, 1, 1)
    assert store.recovery.recover("p", moves)[:3] == (0, 0, 1)
    assert store.recovery.recover("p", [Move(b"2", "fail", b"", b"", "")]) == (0, 1, 0, [b"2"], [])
    assert redis_client.lrange(KEY, 0, -1) == [b"x"]
    assert redis_client.lrange("resque:failed", 0, -1) == [b"\xffentry"]
    assert store.stats.values([store.keys.processed, store.keys.failures]) == [2, 2]
    assert not redis_client.exists("resque:ledger:p", "resque:ledgers")


def test_unregister_worker(store: Store, redis_client: Redis) -> None:
    redis_client.sadd("resque:workers", "w", "other")
    redis_client.hset("resque:workers:heartbeat", mapping={"w": "x", "other": "y"})
    for worker in ("w", "other"):
        for key in (
            f"worker:{worker}:started",
            f"stat:processed:{worker}",
            f"stat:failed:{worker}",
        ):
            redis_client.set(f"resque:{key}", 1)
    redis_client.set("resque:stat:processed", 5)
    store.workers.unregister("w")
    store.workers.unregister("w")
    assert {key.decode() for key in redis_client.scan_iter()} == {
        "resque:workers", "resque:workers:heartbeat", "resque:worker:other:started",
        "resque:stat:processed:other", "resque:stat:failed:other", "resque:stat:processed",
    }  # fmt: skip
    assert store.workers.ids() == ["other"]
    assert store.workers.heartbeats() == {"other": "y"}


# The failed list


def test_failed_pages(store: Store, redis_client: Redis) -> None:
    redis_client.rpush("f", *"abcde")
    assert store.failed.count("f") == 5
    assert store.failed.count("none") == 0
    assert store.failed.page("f", 1, 2) == [b"b", b"c"]
    assert store.failed.page("f", 4, 9) == [b"e"]
    assert store.failed.page("f", 9, 9) == []


@pytest.mark.parametrize(("count", "removed", "left"), [(0, 0, 3), (2, 2, 1), (3, 3, 0), (9, 3, 0)])
def test_trim_failed(
    store: Store, redis_client: Redis, count: int, removed: int, left: int
) -> None:
    redis_client.rpush("f", *"abc")
    assert store.failed.trim("f", count) == removed
    assert redis_client.llen("f") == left


# Sharing


def test_threads_share_one(store: Store, redis_client: Redis) -> None:
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for _ in range(10):
                store.queues.push("a", str(number).encode())
                store.queues.sizes()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    raws = redis_client.lrange(KEY, 0, -1)
    assert {raw: raws.count(raw) for raw in set(raws)} == {
        str(number).encode(): 10 for number in range(50)
    }
