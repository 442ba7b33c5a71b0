"""Queues: what is pushed, seen and removed, as tables."""

from __future__ import annotations

import pytest
import redis

from gresque.jobs.by_hand import remove_queue
from gresque.store.ledger import LedgerEntry
from gresque.store.store import Store

Redis = redis.Redis
KEY = b"resque:queue:a"


def test_push(store: Store, redis_client: Redis) -> None:
    store.enqueuer.push("a", [b"1"])
    store.enqueuer.push("a", [b"\xff\0"])
    assert redis_client.lrange(KEY, 0, -1) == [b"1", b"\xff\0"]
    assert redis_client.smembers("resque:queues") == {b"a"}


def test_push_several(store: Store, redis_client: Redis) -> None:
    raws = [str(number).encode() for number in range(1_000)]
    store.enqueuer.push("a", raws)
    assert redis_client.lrange(KEY, 0, -1) == raws


def test_names_and_sizes(store: Store, redis_client: Redis) -> None:
    assert (store.queues.names(), store.queues.sizes()) == ([], {})
    for name, count in (("b", 2), ("a", 1), ("日本", 3), ("a:b c", 1)):
        for _ in range(count):
            store.enqueuer.push(name, [b"x"])
    redis_client.sadd("resque:queues", "empty")
    assert store.queues.names() == ["a", "a:b c", "b", "empty", "日本"]
    assert store.queues.sizes() == {"a": 1, "a:b c": 1, "b": 2, "empty": 0, "日本": 3}
    assert store.queues.size("b") == 2
    assert store.queues.size("never was") == 0


def test_a_key_of_another_type_does_not_break_the_sizes(store: Store, redis_client: Redis) -> None:
    store.enqueuer.push("a", [b"x"])
    redis_client.sadd("resque:queues", "odd")
    redis_client.set("resque:queue:odd", "x")
    assert store.queues.sizes() == {"a": 1, "odd": 0}
    assert store.queues.size("odd") == 0


@pytest.mark.parametrize(
    ("start", "count", "found"),
    [(0, 1, "a"), (0, 3, "abc"), (1, 3, "bcd"), (3, 9, "d"), (4, 1, ""), (-2, 2, "cd")],
)
def test_peek(store: Store, start: int, count: int, found: str) -> None:
    for raw in "abcd":
        store.enqueuer.push("a", [raw.encode()])
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
        store.enqueuer.push("a", [raw.encode()])
    assert store.queues.remove_items("a", [raw.encode() for raw in items]) == removed
    assert b"".join(redis_client.lrange(KEY, 0, -1)).decode() == after


def test_remove_queue(store: Store, redis_client: Redis) -> None:
    store.enqueuer.push("a", [b"1"])
    store.enqueuer.push("b", [b"2"])
    assert remove_queue(store, "a") == 1
    assert remove_queue(store, "a") == 0
    assert set(redis_client.keys("resque:queue*")) == {b"resque:queues", b"resque:queue:b"}


def test_every_place_of_a_queue(store: Store, redis_client: Redis) -> None:
    """Jobs that a process died under wait in lists of their own, and are taken first."""
    redis_client.rpush(KEY, "a", "b")
    redis_client.rpush(store.keys.suspects_of("a", 1), "one")
    redis_client.rpush(store.keys.suspects_of("a", 2), "two", "b")
    redis_client.sadd("resque:suspects", "a")
    redis_client.sadd("resque:queues", "a", "other")
    assert store.queues.size("a") == 5
    assert store.queues.sizes() == {"a": 5, "other": 0}
    assert store.queues.peek("a", 0, 9) == [b"two", b"b", b"one", b"a", b"b"]
    assert store.queues.peek("a", 1, 3) == [b"b", b"one", b"a"]
    assert store.queues.peek("a", 4, 3) == [b"b"]
    assert store.queues.remove_items("a", [b"b", b"one"]) == 3
    assert remove_queue(store, "a") == 2
    assert [*redis_client.scan_iter()] == [b"resque:queues"]


def test_the_heads_of_queues(store: Store, redis_client: Redis) -> None:
    job, other = LedgerEntry(KEY, b"{}"), LedgerEntry(KEY + b"2", b"{}")
    assert store.queues.among_heads([job], 2) == [False]
    redis_client.rpush(KEY, "a", "{}")
    assert store.queues.among_heads([job, other, job], 2) == [True, False, True]
    assert store.queues.among_heads([job], 1) == [False]
