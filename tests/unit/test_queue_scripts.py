"""Moving and removing jobs that wait: before, call, after."""

from __future__ import annotations

import pytest
import redis

from gresque.store.keys import Keys
from gresque.store.store import Store

KEYS = Keys("resque")
Lists = tuple[list[bytes], list[bytes], list[bytes]]
"""Those that saw several deaths, one death, none."""


def put(client: redis.Redis, queue: str, several: str = "", one: str = "", none: str = "") -> None:
    client.sadd(KEYS.queues, queue)
    if several or one:
        client.sadd(KEYS.suspects, queue)
    for place, letters in zip(KEYS.places(queue), (several, one, none), strict=True):
        if letters:
            client.rpush(place, *letters)


def texts(client: redis.Redis, queue: str) -> list[str]:
    places = [client.lrange(place, 0, -1) for place in KEYS.places(queue)]
    return [b"".join(place).decode() for place in places]


@pytest.mark.parametrize(
    ("most", "left", "moved"),
    [
        (1, ["b", "c", "def"], ["a", "x", "y"]),
        (2, ["", "c", "def"], ["ab", "x", "y"]),
        (3, ["", "", "def"], ["ab", "xc", "y"]),
        (5, ["", "", "f"], ["ab", "xc", "yde"]),
        (6, ["", "", ""], ["ab", "xc", "ydef"]),
        (9, ["", "", ""], ["ab", "xc", "ydef"]),
    ],
)
def test_jobs_move_in_their_order_and_suspects_among_themselves(
    store: Store, redis_client: redis.Redis, most: int, left: list[str], moved: list[str]
) -> None:
    put(redis_client, "a", "ab", "c", "def")
    put(redis_client, "b", "", "x", "y")
    assert store.queues.move("a", "b", most) == min(most, 6)
    assert texts(redis_client, "a") == left
    assert texts(redis_client, "b") == moved
    assert redis_client.smembers(KEYS.queues) == {b"a", b"b"}
    assert redis_client.smembers(KEYS.suspects) == ({b"b"} if most > 2 else {b"a", b"b"})


def test_a_queue_that_gets_jobs_becomes_known(store: Store, redis_client: redis.Redis) -> None:
    put(redis_client, "a", "", "c", "d")
    assert store.queues.move("a", "new", 1000) == 2
    assert redis_client.smembers(KEYS.queues) == {b"a", b"new"}
    assert redis_client.smembers(KEYS.suspects) == {b"new"}
    put(redis_client, "e", "", "", "d")
    assert store.queues.move("e", "plain", 1000) == 1
    assert redis_client.smembers(KEYS.suspects) == {b"new"}
    assert store.queues.move("none", "nowhere", 1000) == 0
    assert b"nowhere" not in redis_client.smembers(KEYS.queues)


def test_a_target_of_another_type_keeps_the_jobs(store: Store, redis_client: redis.Redis) -> None:
    put(redis_client, "a", none="def")
    redis_client.set(KEYS.queue("b"), "x")
    with pytest.raises(redis.ResponseError, match=r"WRONGTYPE .*:queue:a or .*:queue:b "):
        store.queues.move("a", "b", 1000)
    assert texts(redis_client, "a") == ["", "", "def"]


@pytest.mark.parametrize(
    ("most", "left", "known"),
    [
        (1, ["b", "c", "def"], True),
        (4, ["", "", "ef"], True),
        (6, ["", "", ""], False),
        (7, ["", "", ""], False),
    ],
)
def test_clearing(
    store: Store, redis_client: redis.Redis, most: int, left: list[str], known: bool
) -> None:
    put(redis_client, "a", "ab", "c", "def")
    assert store.queues.clear("a", most) == (min(most, 6), most >= 6, [])
    assert texts(redis_client, "a") == left
    assert redis_client.smembers(KEYS.queues) == ({b"a"} if known else set())
    assert redis_client.smembers(KEYS.suspects) == ({b"a"} if most < 3 else set())


def test_a_name_that_is_not_utf8(store: Store, redis_client: redis.Redis) -> None:
    redis_client.rpush(b"resque:queue:\xff", "x", "y")
    assert store.queues.move("\udcff", "b", 1) == 1
    assert store.queues.clear("\udcff", 5) == (1, True, [])
    assert texts(redis_client, "b") == ["", "", "x"]
