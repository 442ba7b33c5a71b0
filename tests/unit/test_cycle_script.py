"""The script of a turn, as tables: Redis before, call, Redis after."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from gresque.connection.scripts import script
from gresque.connection.tracked import TrackedConnection
from gresque.store.ledger import LedgerEntry, parse_entry
from tests.support.worker_scripts import (
    FAILED,
    FAILURES,
    FIXED,
    LEDGER,
    OWN_FAILURES,
    OWN_PROCESSED,
    PROCESSED,
    WRONG_TYPE,
    counters,
    cycle,
    held,
    parts,
    q,
    reserve,
    rung,
    slots,
    snapshot,
    state,
    waiting,
)

Redis = redis.Redis


# Reserving

# queues before, asked in order, want, reply, queues after
RESERVE: list[tuple[dict[str, str], str, int, list[Any], dict[str, str]]] = [
    ({}, "a", 3, [], {"a": ""}),
    ({"a": "123"}, "a", 0, [], {"a": "123"}),
    ({"a": "123"}, "a", 1, [0, "1"], {"a": "23"}),
    ({"a": "123"}, "a", 3, [0, "123"], {"a": ""}),
    ({"a": "123"}, "a", 5, [0, "123"], {"a": ""}),
    ({"a": "12", "b": "34"}, "ab", 3, [0, "12", 1, "3"], {"a": "", "b": "4"}),
    ({"a": "12", "b": "34"}, "ba", 3, [0, "34", 1, "1"], {"a": "2", "b": ""}),
    ({"a": "12", "b": "34"}, "ab", 2, [0, "12"], {"a": "", "b": "34"}),
    ({"b": "34", "c": "5"}, "abc", 9, [1, "34", 2, "5"], {"a": "", "b": "", "c": ""}),
    ({"c": "5"}, "abc", 1, [2, "5"], {"c": ""}),
    ({"a": "1"}, "aa", 2, [0, "1"], {"a": ""}),
    ({"z": "1"}, "a", 2, [], {"z": "1"}),
]


@pytest.mark.parametrize(("before", "asked", "want", "reply", "after"), RESERVE)
def test_reserve(db: Redis, before: Any, asked: str, want: int, reply: Any, after: Any) -> None:
    for name, raws in before.items():
        db.rpush(q(name), *raws)
    got = cycle(db, 1, want, list(asked), free=slots(want))
    assert got[::2] == reply[::2]
    assert [b"".join(raws).decode() for raws in got[1::2]] == reply[1::2]
    assert {name: "".join(raws) for name, raws in waiting(db, *after).items()} == after
    taken = [
        (asked[index], raw)
        for index, raws in zip(reply[::2], reply[1::2], strict=True)
        for raw in raws
    ]
    assert held(db) == dict(zip(slots(want), taken, strict=False))
    assert state(db) == f"1 {len(taken)} 0 0 0 0"


@pytest.mark.parametrize("name", ["a:b", "5:x", "a\nb", "a b", "日本", "x" * 300, "{tag}", "", "9"])
def test_entries_tell_their_queue_whatever_its_name(db: Redis, name: str) -> None:
    db.rpush(q(name), '{"class":"A:B","args":["\\n:"]}')
    cycle(db, 1, 1, [name], free=["0"])
    assert held(db) == {"0": (name, '{"class":"A:B","args":["\\n:"]}')}
    cycle(db, 2, 0, [name], to_requeue=["0"], ended=["0"])
    assert waiting(db, name) == {name: ['{"class":"A:B","args":["\\n:"]}']}


@pytest.mark.parametrize("raw", [b"", b"\0", b"\xff\xfe", b"x" * 1_000_000, b":", b"\r\n"])
def test_any_bytes_travel(db: Redis, raw: bytes) -> None:
    db.rpush(q("a"), raw)
    assert cycle(db, 1, 1, ["a"], free=["0"]) == [0, [raw]]
    assert parse_entry(db.hget(LEDGER, "0")) == LedgerEntry(q("a").encode(), raw)
    cycle(db, 2, 0, ["a"], to_requeue=["0"], ended=["0"])
    assert db.lrange(q("a"), 0, -1) == [raw]


@pytest.mark.parametrize("kind", ["string", "hash", "set", "zset", "stream"])
def test_a_queue_key_of_another_type_is_skipped(db: Redis, kind: str) -> None:
    {
        "string": lambda: db.set(q("b"), "x"),
        "hash": lambda: db.hset(q("b"), "x", "y"),
        "set": lambda: db.sadd(q("b"), "x"),
        "zset": lambda: db.zadd(q("b"), {"x": 1}),
        "stream": lambda: db.xadd(q("b"), {"x": "y"}),
    }[kind]()
    db.rpush(q("a"), "1")
    db.rpush(q("c"), "3")
    before = db.dump(q("b"))
    refused, notes, reply = parts(cycle(db, 1, 9, ["a", "b", "c"], free=slots(9)))
    assert reply == [0, [b"1"], 2, [b"3"]]
    assert (refused, notes) == ([], {("look", q("b")): WRONG_TYPE})
    assert held(db) == {"0": ("a", "1"), "1": ("c", "3")}
    assert db.dump(q("b")) == before
    assert parts(cycle(db, 2, 9, ["b"], ended=["0", "1"], free=slots(7, 2), arm=1))[2] == []


# Settling


def test_new_jobs_overwrite_ended_ones_and_the_rest_is_removed(db: Redis) -> None:
    reserve(db, "12345")
    db.rpush(q("a"), "6", "7")
    reply = cycle(
        db, 2, 4, ["a"], ended=["1", "3", "0"], free=["9"], counted=(3, 0), totals=(5, 3, 0, 0)
    )
    assert reply == [0, [b"6", b"7"]]
    assert held(db) == {"1": ("a", "6"), "3": ("a", "7"), "2": ("a", "3"), "4": ("a", "5")}
    assert state(db) == "2 7 3 0 0 0"
    assert counters(db) == [3, 0, 3, 0]


def test_ended_slots_come_before_free_ones(db: Redis) -> None:
    reserve(db, "12")
    db.rpush(q("a"), "3", "4", "5")
    cycle(db, 2, 3, ["a"], ended=["1"], free=["7", "8"])
    assert held(db) == {"0": ("a", "1"), "1": ("a", "3"), "7": ("a", "4"), "8": ("a", "5")}


def test_failures_are_counted_and_pushed_in_order(db: Redis) -> None:
    reserve(db, "123")
    entries = [FAILED, "e1", "", "resque:a_failed", "e2", "a_failed", FAILED, "e3", ""]
    cycle(
        db, 2, 0, ["a"], ended=["0", "1", "2"], entries=entries, counted=(3, 3), totals=(3, 0, 3, 0)
    )
    assert db.lrange(FAILED, 0, -1) == [b"e1", b"e3"]
    assert db.lrange("resque:a_failed", 0, -1) == [b"e2"]
    assert held(db) == {}
    assert counters(db) == [3, 3, 3, 3]
    assert state(db) == "2 3 0 3 0 0"


def test_a_failure_without_an_entry_is_counted(db: Redis) -> None:
    reserve(db, "1")
    cycle(db, 2, 0, ["a"], ended=["0"], counted=(1, 1), totals=(1, 0, 1, 0))
    assert counters(db) == [1, 1, 1, 1]
    assert not db.exists(FAILED)


def test_nothing_to_count_makes_no_counters(db: Redis) -> None:
    reserve(db, "1")
    assert db.exists(PROCESSED, FAILURES, OWN_PROCESSED, OWN_FAILURES) == 0


# Giving back


def test_the_last_given_comes_first(db: Redis) -> None:
    """Whoever gives back in reverse restores the queue's order."""
    reserve(db, "123")
    db.rpush(q("a"), "4")
    cycle(db, 2, 0, ["a"], to_requeue=["2", "1", "0"], ended=["2", "1", "0"], totals=(3, 0, 0, 3))
    assert waiting(db, "a") == {"a": ["1", "2", "3", "4"]}
    assert held(db) == {}
    assert counters(db) == [0, 0, 0, 0], "it did not end"
    assert state(db) == "2 3 0 0 3 0"


def test_each_goes_back_to_its_own_queue(db: Redis) -> None:
    db.rpush(q("a"), "1")
    db.rpush(q("b"), "2", "3")
    cycle(db, 1, 2, ["a", "b"], free=["0", "1"])
    cycle(db, 2, 0, ["c"], to_requeue=["1", "0"], ended=["1", "0"])
    assert waiting(db, "a", "b", "c") == {"a": ["1"], "b": ["2", "3"], "c": []}


def test_an_empty_slot_gives_nothing_back(db: Redis) -> None:
    cycle(db, 1, 0, ["a"], to_requeue=["5"], ended=["5"])
    assert waiting(db, "a") == {"a": []}


def test_give_back_and_reserve_in_one_turn_keeps_every_job(db: Redis) -> None:
    reserve(db, "12")
    db.rpush(q("b"), "9")
    reply = cycle(db, 2, 2, ["b", "a"], to_requeue=["1"], ended=["1"], free=["5"])
    assert reply == [0, [b"9"], 1, [b"2"]]
    assert held(db) == {"0": ("a", "1"), "1": ("b", "9"), "5": ("a", "2")}


# The same turn again


def test_a_repeated_turn_changes_nothing_and_answers_the_same(db: Redis) -> None:
    reserve(db, "1234")
    db.rpush(q("a"), "5", "6")
    db.rpush(q("b"), "7")
    turn: dict[str, Any] = {
        "ended": ["3", "1", "0"], "to_requeue": ["3"], "free": ["8", "9"],
        "entries": [FAILED, "e1", ""], "counted": (2, 1), "totals": (4, 1, 1, 1), "arm": 1,
    }  # fmt: skip
    reply = cycle(db, 2, 4, ["a", "b"], **turn)
    assert reply == [0, [b"4", b"5", b"6"], 1, [b"7"]]
    after = snapshot(db)
    for _ in range(3):
        db.rpush(q("b"), "pushed meanwhile")
        again = cycle(db, 2, 4, ["a", "b"], **turn)
        assert again[:2] == [b"replay", b""]
        entries = [parse_entry(value) for value in again[2:]]
        assert [entry.raw for entry in entries] == [b"4", b"5", b"6", b"7"]
        assert [entry.queue_key for entry in entries] == [q("a").encode()] * 3 + [q("b").encode()]
        db.rpop(q("b"))
        assert snapshot(db) == after


def test_a_repeated_turn_tells_of_fewer_jobs_than_wanted(db: Redis) -> None:
    db.rpush(q("a"), "1")
    cycle(db, 1, 3, ["a"], free=["0", "1", "2"])
    db.rpush(q("a"), "2")
    again = cycle(db, 1, 3, ["a"], free=["0", "1", "2"])
    assert again == [b"replay", b"", b"%d:%s1" % (len(q("a")), q("a").encode()), None, None]


@pytest.mark.parametrize(
    "turn",
    [
        {},
        {"ended": ["0"], "counted": (1, 0)},
        {"ended": ["0"], "entries": [FAILED, "e", ""], "counted": (1, 1)},
        {"ended": ["0"], "to_requeue": ["0"]},
    ],
    ids=["nothing", "done", "failed", "given back"],
)
def test_a_repeated_turn_that_wanted_nothing(db: Redis, turn: Any) -> None:
    reserve(db, "1")
    assert cycle(db, 2, 0, ["a"], **turn) == []
    after = snapshot(db)
    assert cycle(db, 2, 0, ["a"], **turn) == [b"replay", b""]
    assert snapshot(db) == after


def set_number(client: Redis, number: int) -> None:
    client.hset(LEDGER, "state", f"{number} 0 0 0 0")


@pytest.mark.parametrize(("first", "second"), [(1, 11), (1, 10), (9, 10), (2, 12)])
def test_numbers_are_compared_whole(db: Redis, first: int, second: int) -> None:
    set_number(db, first - 1)
    assert cycle(db, first, 0, ["a"]) == []
    for number in range(first + 1, second + 1):
        assert cycle(db, number, 0, ["a"]) == []
    assert state(db).startswith(f"{second} ")


def test_a_request_that_comes_late_changes_nothing(db: Redis) -> None:
    """The kernel may deliver what an old connection sent when a new one has gone on long since."""
    db.rpush(q("a"), "1", "2")
    set_number(db, 9)
    assert cycle(db, 10, 1, ["a"], free=["0"]) == [0, [b"1"]]
    before = snapshot(db)
    assert cycle(db, 2, 1, ["a"], free=["1"]) == b"stale"
    assert snapshot(db) == before


# Large


def test_as_many_slots_as_one_call_can_name(db: Redis) -> None:
    count = 3800
    db.rpush(q("a"), *range(count))
    (index, raws) = cycle(db, 1, count, ["a"], free=slots(count))
    assert (index, len(raws)) == (0, count)
    assert db.hlen(LEDGER) == count + 1
    assert held(db)[str(count - 1)] == ("a", str(count - 1))
    again = cycle(db, 1, count, ["a"], free=slots(count))
    assert len(again) == count + 2
    assert None not in again
    back = slots(500)[::-1]
    cycle(db, 2, 0, ["a"], ended=back, to_requeue=back)
    assert db.lrange(q("a"), 0, -1) == [str(number).encode() for number in range(500)]
    failed = slots(500, 500)
    entries = [part for number in range(500) for part in (FAILED, number, "")]
    cycle(db, 3, 0, ["a"], ended=failed, entries=entries, counted=(500, 500))
    assert db.llen(FAILED) == 500
    cycle(db, 4, 0, ["a"], ended=slots(2800, 1000))
    assert db.hgetall(LEDGER).keys() == {b"state"}


@pytest.mark.parametrize("count", [1999, 2000, 2001, 3800])
def test_around_the_size_of_a_chunk(db: Redis, count: int) -> None:
    db.rpush(q("a"), *range(count + 1))
    (_, raws) = cycle(db, 1, count, ["a"], free=slots(count))
    assert len(raws) == count
    assert held(db) == {str(slot): ("a", str(slot)) for slot in range(count)}
    (_, raws) = cycle(db, 2, count, ["a"], ended=slots(count))
    assert raws == [str(count).encode()]
    assert held(db) == {"0": ("a", str(count))}


def test_three_thousand_queues(db: Redis) -> None:
    names = [f"q{number}" for number in range(3000)]
    assert cycle(db, 1, 1, names, free=["0"], arm=1) == []
    db.rpush(q("q2999"), "x")
    assert cycle(db, 2, 1, names, free=["0"], arm=1) == [2999, [b"x"]]


# Arming


def turn(connection: TrackedConnection, sequence: int, want: int, arm: int, *queues: str) -> Any:
    keys = [*FIXED, *map(q, queues)]
    return connection.run(
        script("cycle"), len(keys), *keys,
        sequence, want, arm, 0, 0, 0, 0, 0, 0, 0, 0, len(queues), 0, 0, "", 0, *slots(want),
    )  # fmt: skip


@pytest.mark.parametrize("pushed", ["a", "b"])
def test_an_armed_connection_hears_of_a_push(
    db: Redis, tracked: TrackedConnection, pushed: str
) -> None:
    assert turn(tracked, 1, 1, 1, "a", "b") == []
    assert not rung(tracked)
    db.rpush(q(pushed), "1")
    assert rung(tracked)
    assert tracked.invalidated == [q(pushed).encode()]


@pytest.mark.parametrize("case", ["unarmed", "found", "other queue"])
def test_an_unarmed_connection_hears_nothing(
    db: Redis, tracked: TrackedConnection, case: str
) -> None:
    if case == "found":
        db.rpush(q("a"), "0")
    turn(tracked, 1, 1, int(case != "unarmed"), "a")
    tracked.invalidated.clear()
    db.rpush(q("x" if case == "other queue" else "a"), "1")
    assert not rung(tracked)


def test_its_own_turns_do_not_ring(db: Redis, tracked: TrackedConnection) -> None:
    db.rpush(q("a"), "0")
    turn(tracked, 1, 1, 1, "a")
    assert turn(tracked, 2, 1, 1, "a") == []
    keys = [*FIXED, q("a"), q("a")]
    give = ["0", "requeue", 17, "a", "", ""]
    tracked.run(
        script("cycle"), 17, *keys, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, "", 0, *give, "0"
    )
    assert waiting(db, "a") == {"a": ["0"]}
    assert not rung(tracked)
