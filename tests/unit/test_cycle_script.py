"""The Lua scripts of a worker process, as tables: Redis before, call, Redis after."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, repeat
from typing import Any

import pytest
import redis

from gresque.connection.scripts import script
from gresque.connection.tracked import TrackedConnection
from gresque.store.keys import Keys
from gresque.store.ledger import LedgerEntry, parse_entry, parse_state

Redis = redis.Redis
KEYS = Keys("resque")
LEDGER, PROCESSED, FAILURES = "resque:ledger:p", "resque:stat:processed", "resque:stat:failed"
RETRIED, OWN_RETRIED = "resque:stat:retried", "resque:stat:retried:w"
OWN_PROCESSED, OWN_FAILURES = "resque:stat:processed:w", "resque:stat:failed:w"
FAILED, QUEUES, FAILED_QUEUES = "resque:failed", "resque:queues", "resque:failed_queues"
SUSPECTS, PROCESSES, RECOVERIES = "resque:suspects", "resque:processes", "resque:recoveries"
MASTERS = "resque:masters"
POLICIES, PAUSE_ALL, INFLIGHT = "resque:policies", "resque:pause-all-workers", "resque:inflight"
OWN_INFLIGHT, RATES = "resque:inflight:w", "resque:rates"
FIXED = [LEDGER, PROCESSED, FAILURES, OWN_PROCESSED, OWN_FAILURES, QUEUES, FAILED_QUEUES, SUSPECTS,
         RETRIED, OWN_RETRIED, POLICIES, PAUSE_ALL, INFLIGHT, OWN_INFLIGHT, RATES]  # fmt: skip
VITALS = "resque:vitals"


def run(client: Redis, name: str, keys: list[Any], *args: Any) -> Any:
    return client.eval(script(name).text, len(keys), *keys, *args)


def q(name: str) -> str:
    return f"resque:queue:{name}"


def register(client: Redis) -> None:
    run(
        client, "register",
        ["resque:workers", "resque:worker:w:started", "resque:ledgers", LEDGER,
         "resque:heartbeat", PROCESSES, MASTERS],
        "w", "2026-11-23 15:33:10 +0000", "p", "2026-11-23T15:33:10+00:00", 1764000000000,
        "0 0 0 0 0", "machine 7",
    )  # fmt: skip


def cycle(
    client: Redis,
    sequence: int,
    want: int,
    queues: list[str],
    *,
    ended: Any = (),
    free: Any = (),
    to_requeue: Any = (),
    entries: Any = (),
    counted: tuple[int, ...] = (0, 0),
    totals: tuple[int, ...] = (0, 0, 0, 0),
    arm: int = 0,
    effects: Any = (),
    by: Redis | None = None,
    own_caps: str = "",
    freed: Any = (),
) -> Any:
    """`counted` is how many ended, how many of them failed and how many are retried (0 where it is
    left out, as in `totals`); `entries` are three parts each, of
    the ended ones that are not given back; `effects` are others: slot, kind, key, a, b, c,
    and a second key of some."""
    origins = held(client)
    failing = chain((slot for slot in ended if slot not in to_requeue), repeat("none"))
    made: list[tuple[Any, ...]] = [
        (slot, "fail", *entries[start : start + 3], "")
        for slot, start in zip(failing, range(0, len(entries), 3), strict=False)
    ]
    for slot in to_requeue:
        queue = origins.get(slot, ("none", ""))[0]
        made.append((slot, "requeue", q(queue), queue, "", ""))
    made += effects
    lists = [*FIXED, *map(q, queues)]
    more = list(dict.fromkeys(
        key for _, _, first, _, _, _, *second in made for key in (first, *second)
    ))  # fmt: skip
    index = {key: number for number, key in enumerate(more, len(lists) + 1)}
    parts = [
        part for slot, kind, key, *rest in made for part in (slot, kind, index[key], *rest[:3])
    ]
    return run(
        by or client, "cycle", [*lists, *more, *(KEYS.freed(queue) for queue in freed)],
        sequence, want, arm, *(*totals, 0)[:5], *(*counted, 0)[:3], len(queues), len(made),
        len(ended), own_caps, len(freed),
        *parts, *ended, *free,
    )  # fmt: skip


WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


def parts(reply: Any) -> tuple[list[str], dict[tuple[str, str], str], Any]:
    """Refused slots; what was refused, by what it is for and its key; the rest of the reply."""
    if not reply or reply[0] != b"refused":
        return [], {}, reply
    _, refused, notes, rest, *_ = reply
    words = [word.decode() for word in notes]
    by_key = {
        (what, key): error
        for what, key, error in zip(words[::4], words[2::4], words[3::4], strict=True)
    }
    return [slot.decode() for slot in refused], by_key, rest


def held(client: Redis) -> dict[str, tuple[str, str]]:
    """Slot -> queue and payload."""
    fields = client.hgetall(LEDGER)
    fields.pop(b"state", None)
    entries = {slot.decode(): parse_entry(value) for slot, value in fields.items()}
    prefix = len(q(""))
    return {
        slot: (entry.queue_key.decode()[prefix:], entry.raw.decode(errors="surrogateescape"))
        for slot, entry in entries.items()
    }


def waiting(client: Redis, *names: str) -> dict[str, list[str]]:
    return {name: [raw.decode() for raw in client.lrange(q(name), 0, -1)] for name in names}


def state(client: Redis) -> str:
    return client.hget(LEDGER, "state").decode()


def snapshot(client: Redis) -> dict[bytes, Any]:
    return {key: client.dump(key) for key in client.scan_iter()}


@pytest.fixture
def db(redis_client: Redis) -> Redis:
    register(redis_client)
    return redis_client


def slots(count: int, first: int = 0) -> list[str]:
    return [str(number) for number in range(first, first + count)]


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


def reserve(db: Redis, raws: str, queue: str = "a") -> None:
    db.rpush(q(queue), *raws)
    cycle(db, 1, len(raws), [queue], free=slots(len(raws)))


def counters(db: Redis) -> list[int]:
    return [int(value or 0) for value in db.mget(PROCESSED, FAILURES, OWN_PROCESSED, OWN_FAILURES)]


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


# Fenced


def fence(client: Redis) -> Any:
    return run(client, "fence", [LEDGER, "resque:fenced"], "process", 86_400)


def test_a_fenced_process_settles_and_reserves_nothing(db: Redis) -> None:
    reserve(db, "12")
    db.rpush(q("a"), "3")
    fence(db)
    before = snapshot(db)
    for sequence in (1, 2):
        reply = cycle(
            db, sequence, 1, ["a"], ended=["0", "1"], to_requeue=["1"], entries=[FAILED, "e", ""],
            counted=(1, 1),
        )  # fmt: skip
        assert reply == b"fenced"
    assert snapshot(db) == before


def test_a_process_without_a_ledger_is_fenced(redis_client: Redis) -> None:
    redis_client.rpush(q("a"), "1")
    assert cycle(redis_client, 1, 1, ["a"], free=["0"]) == b"fenced"
    assert redis_client.keys() == [q("a").encode()]


def test_fence_reads_the_ledger(db: Redis) -> None:
    reserve(db, "1")
    (before, _), (after, refused) = fence(db), fence(db)
    assert before[::2] == after[::2] and refused == [], "and it may be called twice"
    assert dict(zip(before[::2], before[1::2], strict=True))[b"state"] == b"1 1 0 0 0 0"
    fields = dict(zip(after[::2], after[1::2], strict=True))
    assert fields[b"state"] == b"fenced 1 1 0 0 0 0"
    assert tuple(parse_state(fields[b"state"])) == (1, 0, 0, 0, 0)
    assert fields[b"0"].endswith(b":resque:queue:a1")


def test_no_ledger_to_fence(redis_client: Redis) -> None:
    assert fence(redis_client) == [[], []]
    assert redis_client.keys() == []


def test_the_buried_are_remembered_whatever_the_clock_does(db: Redis) -> None:
    """The last ones are, also when it was set back since the others were buried."""
    ahead = db.time()[0] + 10**8
    db.zadd("resque:fenced", {f"earlier {n}": ahead - n for n in range(10_000)})
    fence(db)
    assert db.zcard("resque:fenced") == 10_000
    assert db.zrange("resque:fenced", -1, -1) == [b"process"]
    assert db.zscore("resque:fenced", "earlier 9999") is None
    assert db.zscore("resque:fenced", "earlier 9998") is not None


def test_one_that_has_beaten_since_it_was_judged_is_not_fenced(db: Redis) -> None:
    keys = [LEDGER, "resque:fenced", "resque:ledgers"]
    beat = db.zscore("resque:ledgers", "p")
    assert run(db, "fence", keys, "p", 86_400, beat - 1) == [b"alive"]
    assert db.hget(LEDGER, "state") == b"0 0 0 0 0 0"
    assert not db.exists("resque:fenced")
    assert run(db, "fence", keys, "p", 86_400, beat) == [[b"state", b"0 0 0 0 0 0"], []]
    assert db.hget(LEDGER, "state") == b"fenced 0 0 0 0 0 0"


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


@pytest.fixture
def tracked(db: Redis, redis_url: str) -> Iterator[TrackedConnection]:
    connection = TrackedConnection(redis_url)
    connection.connect()
    assert connection.tracking
    yield connection
    connection.close()


def turn(connection: TrackedConnection, sequence: int, want: int, arm: int, *queues: str) -> Any:
    keys = [*FIXED, *map(q, queues)]
    return connection.run(
        script("cycle"), len(keys), *keys,
        sequence, want, arm, 0, 0, 0, 0, 0, 0, 0, 0, len(queues), 0, 0, "", 0, *slots(want),
    )  # fmt: skip


def rung(connection: TrackedConnection) -> bool:
    connection.call(b"PING")  # what was to be announced came before this reply
    return bool(connection.invalidated) or connection.hear()


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


@pytest.mark.parametrize("name", ["fence", "recover", "unregister", "beat"])
def test_a_full_redis_lets_the_others_run_whole_or_not_at_all(full: Redis, name: str) -> None:
    if name != "fence":
        fence(full)
    calls: dict[str, Any] = {
        "fence": lambda: fence(full),
        "recover": lambda: recover(full, ["0", "requeue", q("a"), "1"], ["1", "fail", FAILED, "e"]),
        "unregister": lambda: unregister(full),
        "beat": lambda: beat(full, running='{"0":1}'),
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


# Registering, beating, leaving


def beat(
    client: Redis, process: str = "p", now: int = 2 * 10**12, running: str = "", corrects: int = 0
) -> Any:
    """Whether it is registered, and what was refused."""
    return run(
        client, "beat",
        ["resque:ledgers", "resque:heartbeat", f"resque:running:{process}",
         "resque:workers", "resque:worker:w:started", MASTERS,
         "resque:stat:processed:w", "resque:stat:failed:w", "resque:stat:retried:w",
         f"resque:ledger:{process}"],
        process, "w", now, "2026-11-23T15:33:10+00:00", running, 15,
        "2026-11-23 15:33:10 +0000", 7, 2, 0, corrects,
    )  # fmt: skip


def unregister(client: Redis, number: int = 0) -> Any:
    return run(
        client,
        "unregister",
        ["resque:ledgers", LEDGER, "resque:running:p", "resque:commands:p", PROCESSES, VITALS],
        "p",
        number,
    )


def test_register(redis_client: Redis) -> None:
    register(redis_client)
    assert redis_client.smembers("resque:workers") == {b"w"}
    assert redis_client.get("resque:worker:w:started") == b"2026-11-23 15:33:10 +0000"
    assert redis_client.hgetall("resque:heartbeat") == {b"w": b"2026-11-23T15:33:10+00:00"}
    assert redis_client.zrange("resque:ledgers", 0, -1, withscores=True) == [(b"p", 1764e9)]
    assert redis_client.hgetall(LEDGER) == {b"state": b"0 0 0 0 0 0"}
    assert tuple(parse_state(b"0 0 0 0 0 0")) == (0, 0, 0, 0, 0)
    assert redis_client.hgetall(PROCESSES) == {b"p": b"machine 7"}
    assert redis_client.hgetall(MASTERS) == {b"w": b"2026-11-23 15:33:10 +0000"}
    assert len(redis_client.keys()) == 7


def test_register_restores_the_counters_of_a_worker_that_was_removed(db: Redis) -> None:
    """At one job per fork no process lives long enough for a heartbeat."""
    keys = [
        "resque:workers", "resque:worker:w:started", "resque:ledgers", "resque:ledger:p2",
        "resque:heartbeat", PROCESSES, MASTERS, "resque:stat:processed:w", "resque:stat:failed:w",
    ]  # fmt: skip
    told = ("w", "then", "p2", "2026-11-23T15:33:10+00:00", 1, "0 0 0 0 0", "", 7, 0)
    run(db, "register", keys, *told)
    assert not db.exists("resque:stat:processed:w")
    db.srem("resque:workers", "w")
    run(db, "register", keys, *told)
    assert db.get("resque:stat:processed:w") == b"7"
    assert not db.exists("resque:stat:failed:w")


def test_unregister(db: Redis) -> None:
    db.set("resque:running:p", "{}")
    db.hset(VITALS, "p", "{}")
    assert unregister(db) == 0
    assert not db.exists(LEDGER, "resque:ledgers", "resque:running:p", PROCESSES, VITALS)
    assert db.smembers("resque:workers") == {b"w"}, "its master is there still"
    assert unregister(db) == 0


def test_a_ledger_that_holds_jobs_stays(db: Redis) -> None:
    reserve(db, "12")
    assert unregister(db, 1) == 2
    assert held(db) == {"0": ("a", "1"), "1": ("a", "2")}
    assert db.zscore("resque:ledgers", "p") is not None


START = 1_764_000_000_000
# The server's clock at each beat of one process -> the scores
CLOCKS: list[tuple[list[int], list[int]]] = [
    ([START + 1, START + 2], [START + 1, START + 2]),
    ([START, START, START], [START + 1, START + 2, START + 3]),
    ([START + 3_600_000, START + 10], [START + 3_600_000, START + 3_600_001]),
    ([0, 0, START + 2], [START + 1, START + 2, START + 3]),
    ([START + 90_000], [START + 90_000]),
]


@pytest.mark.parametrize(("clocks", "scores"), CLOCKS)
def test_every_beat_raises_the_score_whatever_the_clock_does(
    db: Redis, clocks: list[int], scores: list[int]
) -> None:
    for clock, score in zip(clocks, scores, strict=True):
        assert beat(db, now=clock) == [1, []]
        assert db.zscore("resque:ledgers", "p") == score
    assert db.hget("resque:heartbeat", "w") == b"2026-11-23T15:33:10+00:00"


def test_the_heartbeats_of_all_processes_and_the_workers_of_gresque(db: Redis) -> None:
    db.zadd("resque:ledgers", {"x": 5})
    db.sadd("resque:workers", "ruby:1:q")
    db.hset("resque:heartbeat", "ruby:1:q", "2026-01-01T00:00:00+00:00")
    beats, workers, refused = run(db, "heartbeats", ["resque:ledgers", MASTERS])
    assert [float(score) for score in beats[1::2]] == [5, 1764e9]
    assert (beats[::2], workers, refused) == ([b"x", b"p"], [b"w"], [])


def test_the_processes_of_a_machine(db: Redis) -> None:
    db.hset(PROCESSES, mapping={"x": "elsewhere 8", "y": "machine 9", "z": "machine2 7"})
    found, refused = run(db, "processes_of", [PROCESSES], "machine")
    assert dict(zip(found[::2], found[1::2], strict=True)) == {
        b"p": b"machine 7",
        b"y": b"machine 9",
    }
    assert refused == []


def test_a_beat_registers_its_worker_again_when_another_program_removed_it(db: Redis) -> None:
    db.srem("resque:workers", "w")
    db.delete("resque:worker:w:started", MASTERS)
    db.hdel("resque:heartbeat", "w")
    db.set("resque:stat:failed:w", 9)
    assert beat(db)[0] == 2
    assert db.smembers("resque:workers") == {b"w"}
    assert db.get("resque:worker:w:started") == b"2026-11-23 15:33:10 +0000"
    assert db.hgetall(MASTERS) == {b"w": b"2026-11-23 15:33:10 +0000"}
    assert db.get("resque:stat:processed:w") == b"7"
    assert db.get("resque:stat:failed:w") == b"9", "it was not removed, and has counted more"
    db.delete("resque:stat:processed:w")
    assert beat(db)[0] == 1
    assert not db.exists("resque:stat:processed:w"), "a counter that somebody has cleared stays so"
    beat(db, corrects=1)
    assert db.get("resque:stat:processed:w") == b"7"


@pytest.mark.parametrize(
    "key", ["resque:workers", "resque:heartbeat", MASTERS, "resque:stat:processed:w"]
)
def test_a_key_of_another_type_stops_no_beat(db: Redis, key: str) -> None:
    db.srem("resque:workers", "w")
    db.delete(key)
    db.rpush(key, "x")
    assert beat(db)[0] in (1, 2)
    assert db.zscore("resque:ledgers", "p") == 2e12


def test_beat_publishes_what_runs_and_takes_it_back(db: Redis) -> None:
    beat(db, running='{"0":1.5}')
    assert json.loads(db.get("resque:running:p")) == {"0": 1.5}
    assert 0 < db.ttl("resque:running:p") <= 15
    beat(db)
    assert not db.exists("resque:running:p")


def test_who_is_not_registered_does_not_beat(db: Redis) -> None:
    db.srem("resque:workers", "w")
    db.zadd("resque:ledgers", {"p": 0})
    assert beat(db, process="gone", running='{"0":1}') == [0, []]
    assert db.zscore("resque:ledgers", "gone") is None
    assert not db.exists("resque:running:gone", "resque:workers")


# Recovering


def recover(client: Redis, *moves: list[str]) -> Any:
    """Requeued, failed, left."""
    lists = list(dict.fromkeys(move[2] for move in moves if move[2]))
    index = {key: number for number, key in enumerate(lists, 14)} | {"": 0}
    return run(
        client, "recover",
        [
            LEDGER, "resque:ledgers", "resque:running:p", QUEUES, PROCESSED, FAILURES,
            FAILED_QUEUES, SUSPECTS, PROCESSES, RECOVERIES, RETRIED,
            KEYS.inflight, KEYS.inflight_of("w"), *lists,
        ],
        "p", '{"process":"p"', 3, 60, 0,
        *(
            part
            for move in moves
            for part in [*move[:2], index[move[2]], move[3], *arguments_of(move)]
        ),
    )[:3]  # fmt: skip


def arguments_of(move: list[str]) -> list[str]:
    """a, b and c of its effect; a list of failed jobs has a name where it is that of its queue."""
    if move[1] in ("requeue", "suspect"):
        return [KEYS.queue_of(move[2]) or "", "", ""]
    return [move[3], "" if move[2] in (FAILED, "") else move[2].removeprefix("resque:"), ""]


def test_recover_moves_each_job_where_it_goes(db: Redis) -> None:
    reserve(db, "1234")
    db.rpush(q("a"), "5")
    db.set("resque:running:p", "{}")
    fence(db)
    reply = recover(
        db, ["1", "requeue", q("a"), "2"], ["0", "requeue", q("a"), "1"],
        ["2", "fail", FAILED, "e3"], ["3", "fail", "", ""],
    )  # fmt: skip
    assert reply == [2, 2, 0]
    assert waiting(db, "a") == {"a": ["1", "2", "5"]}
    assert db.lrange(FAILED, 0, -1) == [b"e3"]
    assert counters(db) == [2, 2, 0, 0]
    assert not db.exists(LEDGER, "resque:ledgers", "resque:running:p", PROCESSES, VITALS)
    (entry,) = db.lrange(RECOVERIES, 0, -1)
    assert json.loads(entry) == {
        "process": "p",
        "requeued": 2,
        "failed": 2,
        "poison": 0,
        "retried": 0,
    }
    assert 50 < db.ttl(RECOVERIES) <= 60


def test_recover_in_parts(db: Redis) -> None:
    reserve(db, "123")
    fence(db)
    assert recover(db, ["0", "requeue", q("a"), "1"]) == [1, 0, 2]
    assert held(db).keys() == {"1", "2"}
    assert db.zscore("resque:ledgers", "p") is not None
    assert cycle(db, 2, 0, ["a"]) == b"fenced"
    assert not db.exists(RECOVERIES)
    moves = [["1", "fail", FAILED, "e"], ["2", "poison", FAILED, "e"]]
    assert recover(db, *moves) == [0, 2, 0]
    assert not db.exists(LEDGER)
    (entry,) = db.lrange(RECOVERIES, 0, -1)
    sums = {"requeued": 1, "failed": 2, "poison": 1, "retried": 0}
    assert json.loads(entry) == {"process": "p", **sums}


def test_the_log_of_recoveries_keeps_the_last_ones(redis_client: Redis) -> None:
    for _ in range(5):
        register(redis_client)
        fence(redis_client)
        recover(redis_client)
    assert redis_client.llen(RECOVERIES) == 3


def test_recover_twice_moves_once(db: Redis) -> None:
    reserve(db, "12")
    fence(db)
    moves = [["0", "requeue", q("a"), "1"], ["1", "fail", FAILED, "e"]]
    assert recover(db, *moves) == [1, 1, 0]
    after = snapshot(db)
    assert recover(db, *moves) == [0, 0, 0]
    assert snapshot(db) == after


def test_recover_of_an_empty_ledger(db: Redis) -> None:
    fence(db)
    assert recover(db) == [0, 0, 0]
    assert not db.exists(LEDGER, "resque:ledgers")
    assert recover(db) == [0, 0, 0]


def test_two_at_the_same_time_move_each_job_once(db: Redis) -> None:
    count = 2000
    db.rpush(q("a"), *range(count))
    cycle(db, 1, count, ["a"], free=slots(count))
    moved = [0, 0, 0, 0]
    start = threading.Barrier(4)

    def work(number: int) -> None:
        start.wait()
        fence(db)
        for first in range(0, count, 50):
            part = [[str(s), "requeue", q("a"), str(s)] for s in range(first, first + 50)]
            moved[number] += recover(db, *part)[0]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(moved) == count
    raws = [int(raw) for raw in db.lrange(q("a"), 0, -1)]
    assert sorted(raws) == list(range(count))
    assert not db.exists(LEDGER, "resque:ledgers")
