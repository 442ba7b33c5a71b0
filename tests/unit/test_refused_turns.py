"""The script of a turn where Redis refuses some of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import redis

from gresque.store.ledger import parse_entry, parse_state
from tests.support.worker_scripts import (
    FAILED,
    FAILED_QUEUES,
    FAILURES,
    OWN_FAILURES,
    OWN_PROCESSED,
    PROCESSED,
    QUEUES,
    WRONG_TYPE,
    beat,
    counters,
    cycle,
    fence,
    held,
    parts,
    publish,
    q,
    recover,
    reserve,
    snapshot,
    state,
    unregister,
    waiting,
)

Redis = redis.Redis


# Refused


def test_a_failed_list_of_another_type_keeps_its_jobs_in_their_slots(db: Redis) -> None:
    reserve(db, "1234")
    db.rpush(q("a"), "5", "6")
    db.set(FAILED, "another program's")
    turn: dict[str, Any] = {
        "ended": ["0", "1", "2", "3"], "to_requeue": ["3"], "free": ["8"],
        "entries": [FAILED, "e1", "", "resque:a_failed", "e2", "a_failed", FAILED, "e3", ""],
        "counted": (3, 3), "totals": (4, 0, 3, 1),
    }  # fmt: skip
    for _ in range(2):  # the reply is lost
        refused, notes, reply = parts(cycle(db, 2, 5, ["a"], **turn))
        if reply[0] == b"replay":
            assert reply[1] == b"!0,2"
            assert [parse_entry(entry).raw for entry in reply[2:]] == [b"4", b"5", b"6"]
        else:
            assert refused == ["0", "2"]
            assert notes == {("move", FAILED): WRONG_TYPE}
            assert reply == [0, [b"4", b"5", b"6"]]
        assert held(db) == {
            "0": ("a", "1"), "2": ("a", "3"), "1": ("a", "4"), "3": ("a", "5"), "8": ("a", "6"),
        }  # fmt: skip
        assert db.lrange("resque:a_failed", 0, -1) == [b"e2"]
        assert counters(db) == [1, 1, 1, 1]
        assert tuple(parse_state(state(db).encode())) == (7, 0, 1, 1, 0)
    db.delete(FAILED)
    again: dict[str, Any] = {"entries": [FAILED, "e1", "", FAILED, "e3", ""], "counted": (2, 2)}
    assert cycle(db, 3, 0, ["a"], ended=["0", "2"], totals=(7, 0, 3, 1), **again) == []
    assert db.lrange(FAILED, 0, -1) == [b"e1", b"e3"]
    assert held(db).keys() == {"1", "3", "8"}
    assert counters(db) == [3, 3, 3, 3]
    assert state(db) == "3 7 0 3 1 0"


def test_a_process_that_dies_with_refused_jobs_keeps_its_totals(db: Redis) -> None:
    reserve(db, "12")
    db.set(FAILED, "x")
    entries = [FAILED, "e", ""]
    cycle(db, 2, 0, ["a"], ended=["0", "1"], entries=entries, counted=(2, 1), totals=(2, 1, 1, 0))
    assert state(db) == "2!0 2 1 0 0 0"
    fence(db)
    assert recover(db, ["0", "requeue", q("a"), "1"]) == [1, 0, 0]


def test_failed_queues_of_another_type_keeps_jobs_from_a_list_that_nobody_would_see(
    db: Redis,
) -> None:
    reserve(db, "1")
    db.set(FAILED_QUEUES, "x")
    entries = ["resque:a_failed", "e", "a_failed"]
    reply = cycle(db, 2, 0, ["a"], ended=["0"], entries=entries, counted=(1, 1))
    assert parts(reply)[:2] == (["0"], {("move", FAILED_QUEUES): WRONG_TYPE})
    assert held(db) == {"0": ("a", "1")}
    assert not db.exists("resque:a_failed")


def test_a_queue_of_another_type_takes_nothing_back(db: Redis) -> None:
    reserve(db, "12")
    db.rpush(q("b"), "3")
    cycle(db, 2, 1, ["b"], free=["5"])
    db.set(q("a"), "x")
    reply = cycle(
        db, 3, 2, ["b"], ended=["0", "5", "1"], to_requeue=["0", "5", "1"], totals=(3, 0, 0, 3)
    )
    refused, notes, rest = parts(reply)
    assert refused == ["0", "1"]
    assert notes == {("move", q("a")): WRONG_TYPE}
    assert rest == [0, [b"3"]], "given back, and taken again"
    assert held(db) == {"0": ("a", "1"), "1": ("a", "2"), "5": ("b", "3")}
    assert tuple(parse_state(state(db).encode())) == (4, 0, 0, 1, 0)


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        (PROCESSED, "abc", "ERR value is not an integer or out of range"),
        (FAILURES, str(2**63 - 1), "ERR increment or decrement would overflow"),
        (OWN_PROCESSED, "", "ERR value is not an integer or out of range"),
    ],
)
def test_a_counter_that_cannot_count_holds_up_nothing(
    db: Redis, key: str, value: str, error: str
) -> None:
    reserve(db, "12")
    db.set(key, value)
    turn: dict[str, Any] = {
        "ended": ["0"], "entries": [FAILED, "e", ""], "counted": (1, 1), "totals": (2, 0, 1, 0),
    }  # fmt: skip
    assert parts(cycle(db, 2, 0, ["a"], **turn)) == ([], {("count", key): error}, [])
    assert cycle(db, 2, 0, ["a"], **turn) == [b"replay", b""]
    assert db.lrange(FAILED, 0, -1) == [b"e"]
    assert held(db) == {"1": ("a", "2")}
    assert db.get(key).decode() == value
    assert sorted(db.mget({PROCESSED, FAILURES, OWN_PROCESSED, OWN_FAILURES} - {key})) == [b"1"] * 3


def test_an_index_of_another_type_holds_up_nothing(db: Redis) -> None:
    db.rpush(q("a"), "1")
    cycle(db, 1, 1, ["a"], free=["0"])
    db.delete(QUEUES)
    db.set(QUEUES, "x")
    _, notes, rest = parts(
        cycle(db, 2, 0, ["a"], ended=["0"], to_requeue=["0"], totals=(1, 0, 0, 1))
    )
    assert (notes, rest) == ({("count", QUEUES): WRONG_TYPE}, [])
    assert db.llen(q("a")) == 1


RIGHTS = ("hset", "hdel", "hget", "rpush", "lpush", "sadd", "incrby", "lpop", "exists", "ltrim")


@pytest.mark.parametrize("missing", RIGHTS)
def test_a_missing_right_loses_and_doubles_nothing(db: Redis, server: Any, missing: str) -> None:
    """Whatever is refused in the middle of a turn, the same turn again is as harmless."""
    reserve(db, "123")
    db.rpush(q("a"), "4")
    db.acl_setuser("limited", enabled=True, nopass=True, keys=["*"], commands=["+@all"], reset=True)
    db.acl_setuser("limited", commands=[f"-{missing}"], enabled=True)
    turn: dict[str, Any] = {
        "ended": ["0", "1", "2"], "to_requeue": ["1"], "free": ["9"], "counted": (2, 1), "arm": 1,
        "entries": ["resque:a_failed", "e", "a_failed"], "totals": (3, 1, 1, 1),
    }  # fmt: skip
    user = Redis(unix_socket_path=str(server.unix_socket_path), username="limited", password="x")
    for _ in range(3):
        with suppress(redis.ResponseError):
            cycle(db, 2, 1, ["a"], by=user, **turn)
    user.close()
    db.acl_deluser("limited")
    there = waiting(db, "a")["a"] + [raw for _, raw in held(db).values()]
    entries = db.lrange("resque:a_failed", 0, -1)
    # The first job failed, the second is given back, the third is done, the fourth waits.
    assert [sorted(there), entries] in (
        [["1", "2", "3", "4"], []],
        [["1", "2", "4"], []],
        [["2", "4"], [b"e"]],
    )
    assert counters(db)[0] <= 2


# A full Redis


@pytest.fixture
def full(db: Redis) -> Iterator[Redis]:
    """Two jobs held, two waiting, and no memory for more."""
    reserve(db, "12")
    db.rpush(q("a"), "3", "4")
    try:
        yield db
    finally:
        db.config_set("maxmemory", 0)


def test_a_full_redis_still_settles(full: Redis) -> None:
    full.config_set("maxmemory-policy", "noeviction")
    full.config_set("maxmemory", 1)
    with pytest.raises(redis.ResponseError, match=r"OOM|maxmemory"):
        full.rpush(q("a"), "5")
    turn: dict[str, Any] = {
        "ended": ["1", "0"], "to_requeue": ["1"], "entries": [FAILED, "e", ""], "counted": (1, 1),
        "totals": (2, 0, 1, 1),
    }  # fmt: skip
    assert cycle(full, 2, 2, ["a"], **turn) == [0, [b"2", b"3"]]
    after = snapshot(full)
    assert cycle(full, 2, 2, ["a"], **turn)[0] == b"replay"
    full.config_set("maxmemory", 0)
    assert snapshot(full) == after
    assert held(full) == {"1": ("a", "2"), "0": ("a", "3")}
    assert waiting(full, "a") == {"a": ["4"]}
    assert counters(full) == [1, 1, 1, 1]
    assert full.lrange(FAILED, 0, -1) == [b"e"]
    assert state(full) == "2 4 0 1 1 0"


@pytest.mark.parametrize("name", ["fence", "recover", "unregister", "beat", "publish"])
def test_a_full_redis_lets_the_others_run_whole_or_not_at_all(full: Redis, name: str) -> None:
    if name != "fence":
        fence(full)
    calls: dict[str, Any] = {
        "fence": lambda: fence(full),
        "recover": lambda: recover(full, ["0", "requeue", q("a"), "1"], ["1", "fail", FAILED, "e"]),
        "unregister": lambda: unregister(full),
        "beat": lambda: beat(full),
        "publish": lambda: publish(full, '{"0":1}'),
    }
    before = snapshot(full)
    full.config_set("maxmemory", 1)
    try:
        calls[name]()
        done = True
    except redis.ResponseError:
        done = False
    full.config_set("maxmemory", 0)
    assert done or snapshot(full) == before
