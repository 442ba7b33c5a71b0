"""Several reads in one round trip."""

from __future__ import annotations

import pytest
import redis

from benchmarks.held import Traffic
from gresque.store import reads as reads_module
from gresque.store.store import Store


def test_what_each_read_returns(store: Store, redis_client: redis.Redis) -> None:
    redis_client.rpush("list", *"abc")
    redis_client.sadd("set", "日本", b"\xff")
    redis_client.hset("hash", mapping={"f": "1", "g": b"\xff"})
    redis_client.zadd("sorted", {"b": 2.5, "a": 1})
    redis_client.mset({"n": 7, "text": "x"})
    reads = store.reads()
    size, none = reads.number("LLEN", "list"), reads.number("LLEN", "none")
    names = reads.names("SMEMBERS", "set")
    texts = reads.texts(["text", "none"])
    numbers = reads.numbers(["n", "none", "text"])
    values, fields = reads.hash_values("hash", ["f", "none"]), reads.texts_of("HGETALL", "hash")
    scores = reads.scores("ZRANGE", "sorted")
    default = reads.ask(b"default", "GET", "none")
    parsed = reads.ask(0, "GET", "n", parse=int)
    clock = reads.now()
    nothing = (reads.texts([]), reads.numbers([]), reads.hash_values("hash", []))
    with Traffic(redis_client) as traffic:
        reads.run()
    assert sum(traffic.calls.values()) == 11
    assert (size.value, none.value) == (3, 0)
    assert {*names.value} == {"\udcff", "日本"}
    assert (texts.value, numbers.value) == ([b"x", None], [7, 0, 0])
    assert (values.value, fields.value) == ([b"1", None], {"f": "1", "g": "\udcff"})
    assert scores.value == {"a": 1.0, "b": 2.5}
    assert [*scores.value] == ["a", "b"]
    assert (default.value, parsed.value) == (b"default", 7)
    assert abs(clock.value - store.now()) < 5
    assert [each.value for each in nothing] == [[], [], []]


def test_keys_of_another_type_count_as_empty_and_are_named(
    store: Store, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    redis_client.rpush("resque:ledgers", "x")
    redis_client.set("resque:queue:reads", "x")
    reads = store.reads()
    size, scores = (
        reads.number("LLEN", "resque:queue:reads"),
        reads.scores("ZRANGE", "resque:ledgers"),
    )
    values = reads.hash_values("resque:queue:reads", ["f", "g"])
    reads.run()
    assert (size.value, scores.value, values.value) == (0, {}, [None, None])
    assert "resque:queue:reads is not a list, as gresque needs it" in caplog.text


def test_any_other_error_is_raised(store: Store) -> None:
    reads = store.reads()
    reads.ask(b"", "GETRANGE", "key")
    with pytest.raises(redis.ResponseError, match="wrong number of arguments"):
        reads.run()
    reads.run()  # nothing is left over


def test_it_may_be_used_again(store: Store, redis_client: redis.Redis) -> None:
    reads = store.reads()
    reads.run()
    for count in (1, 2):
        redis_client.rpush("list", "x")
        size = reads.number("LLEN", "list")
        reads.run()
        assert size.value == count


@pytest.mark.parametrize(("count", "commands"), [(0, 0), (2, 1), (3, 2), (5, 3)])
def test_many_keys_go_in_portions(
    store: Store,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    commands: int,
) -> None:
    monkeypatch.setattr(reads_module, "AT_ONCE", 2)
    names = [f"n{number}" for number in range(5)]
    redis_client.mset({name: number for number, name in enumerate(names)})
    redis_client.hset("hash", mapping={name: number for number, name in enumerate(names)})
    reads = store.reads()
    numbers, texts = reads.numbers(names[:count]), reads.texts(names[:count])
    values = reads.hash_values("hash", names[:count])
    with Traffic(redis_client) as traffic:
        reads.run()
    assert numbers.value == [*range(count)]
    assert texts.value == values.value == [str(number).encode() for number in range(count)]
    assert traffic.calls.get("mget", 0) == 2 * commands
    assert traffic.calls.get("hmget", 0) == commands
