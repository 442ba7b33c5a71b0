"""Suspects in the scripts of a turn and of a recovery: Redis before, call, Redis after."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from gresque.connection.tracked import TrackedConnection
from gresque.jobs.crash_history import add_death
from tests.unit.test_cycle_script import (
    FAILED,
    SUSPECTS,
    cycle,
    fence,
    held,
    q,
    recover,
    register,
    slots,
    snapshot,
)

Redis = redis.Redis


@pytest.fixture
def db(redis_client: Redis) -> Redis:
    register(redis_client)
    return redis_client


def job(letter: str, deaths: int = 0) -> bytes:
    raw = b'{"class":"%s"}' % letter.encode()
    for number in range(deaths):
        raw = add_death(raw, f"p{number} at noon")
    return raw


def jobs(told: str) -> list[bytes]:
    """`a` is a job that saw no death, `b1` one that saw one, and so on."""
    return [job(word[0], int(word[1:] or 0)) for word in told.split()]


def fill(client: Redis, told: str, name: str = "a", known: int | None = None) -> None:
    raws = jobs(told)
    if raws:
        client.rpush(q(name), *raws)
    if known is None:
        known = sum(len(word) > 1 for word in told.split())
    client.hset(SUSPECTS, q(name), str(known))


def names(raws: list[bytes]) -> str:
    every = {job(letter, deaths): f"{letter}{deaths or ''}" for letter in "abcdefghij"
             for deaths in range(4)}  # fmt: skip
    return " ".join(every[raw] for raw in raws)


def taken(reply: list[Any]) -> tuple[str, str]:
    """The jobs of a reply, and what it says of suspects."""
    notice = reply[-1].decode() if len(reply) % 2 else ""
    return names([raw for raws in reply[1::2] for raw in raws]), notice


# mode, jobs held already, queue before, want, taken, notice, queue after, suspects counted after
TAKE = [
    ("leave", 0, "a1 b c", 1, "b", "left", "a1 c", 1),
    ("leave", 0, "a1 b2 c d3 e f", 2, "c e", "left", "a1 b2 d3 f", 3),
    ("leave", 0, "a b1 c", 3, "a c", "left", "b1", 1),
    ("leave", 0, "a b c", 2, "a b", "", "c", None),
    ("leave", 0, "a1", 5, "", "left", "a1", 1),
    ("leave", 3, "a1 b", 5, "b", "left", "a1", 1),
    ("alone", 0, "a1 b c", 2, "a1", "alone", "b c", None),
    ("alone", 0, "a2 b1 c", 2, "a2", "alone", "b1 c", 1),
    ("alone", 0, "a b1 c", 2, "a c", "left", "b1", 1),
    ("alone", 1, "a1 b c", 2, "b c", "left", "a1", 1),
    ("32", 0, "a1 b1 c d1", 9, "a1 b1 d1", "", "c", None),
    ("32", 5, "a1 b c1", 9, "a1 c1", "", "b", None),
    ("1", 5, "a1 b1 c", 9, "a1", "left", "b1 c", 1),
    ("1", 5, "a1 b1 c", 1, "a1", "left", "b1 c", 1),
    ("32", 0, "a2 b1 c", 9, "a2", "alone", "b1 c", 1),
    ("32", 1, "a2 b1 c", 9, "", "left", "a2 b1 c", 2),
    ("32", 0, "a1 b2 c1 d", 9, "a1", "left", "b2 c1 d", 2),
    ("0", 0, "a1 b1", 1, "a1", "alone", "b1", 1),
    ("0", 1, "a1 b1", 1, "", "left", "a1 b1", 2),
    ("32", 0, "a b c", 9, "", "", "a b c", None),
    ("32", 0, "", 9, "", "", "", None),
]


@pytest.mark.parametrize(
    ("mode", "holds", "before", "want", "got", "notice", "after", "count"), TAKE
)
def test_what_a_turn_takes(
    db: Redis, mode: str, holds: int, before: str, want: int, got: str, notice: str, after: str,
    count: int | None,
) -> None:  # fmt: skip
    if holds:
        db.rpush(q("held"), *range(holds))
    cycle(db, 1, holds, ["held"], free=slots(holds, 100))
    fill(db, before)
    reply = cycle(db, 2, want, ["a"], free=slots(want), suspects=mode)
    assert taken(reply) == (got, notice)
    assert names(db.lrange(q("a"), 0, -1)) == after
    assert db.hget(SUSPECTS, q("a")) == (None if count is None else str(count).encode())
    assert len(held(db)) == holds + len(got.split())


def test_ended_jobs_do_not_count_as_held(db: Redis) -> None:
    db.rpush(q("held"), "1", "2")
    cycle(db, 1, 2, ["held"], free=slots(2))
    fill(db, "a2")
    reply = cycle(db, 2, 2, ["a"], ended=slots(2), suspects="32", counted=(2, 0))
    assert taken(reply) == ("a2", "alone")


def test_other_queues_are_served_as_always(db: Redis) -> None:
    fill(db, "a1 b", "x")
    db.rpush(q("y"), *jobs("c d"))
    reply = cycle(db, 1, 9, ["x", "y"], free=slots(9))
    assert reply[0::2] == [0, 1, b"left"]
    assert taken(reply) == ("b c d", "left")
    assert taken(cycle(db, 2, 9, ["y", "x"], free=slots(9, 20), suspects="5")) == ("a1", "")


def test_a_turn_that_takes_nothing_rings_nobody(db: Redis, redis_url: str) -> None:
    """A write would ring idle processes, whose turns would ring this one, for ever."""
    fill(db, "a1 b2")
    idle = TrackedConnection(redis_url)
    idle.connect()
    idle.call(b"EXISTS", q("a"))
    cycle(db, 1, 5, ["a"], free=slots(5))
    idle.call(b"PING")
    assert not idle.invalidated
    cycle(db, 2, 5, ["a"], free=slots(5), suspects="5")
    idle.call(b"PING")
    assert idle.invalidated == [q("a").encode()]
    idle.close()


# known, queue, count after a turn that takes nothing but looks
HEAL = [(5, "a1 b", 1), (5, "a b", None), (1, "a1 b1 c1", 3), (9, "", None)]


@pytest.mark.parametrize(("known", "before", "after"), HEAL)
def test_the_count_heals_itself(db: Redis, known: int, before: str, after: int | None) -> None:
    """Other programs take jobs and remove queues."""
    fill(db, before, known=known)
    cycle(db, 1, 2, ["a"], free=slots(2), ended=(), suspects="leave")
    assert db.hget(SUSPECTS, q("a")) == (None if after is None else str(after).encode())


def test_a_queue_of_another_type_loses_its_count(db: Redis) -> None:
    db.set(q("a"), "x")
    db.hset(SUSPECTS, q("a"), "3")
    assert cycle(db, 1, 2, ["a"], free=slots(2)) == []
    assert not db.exists(SUSPECTS)


def test_suspects_behind_what_a_shutdown_gave_back_are_not_forgotten(db: Redis) -> None:
    fill(db, "a1")
    db.lpush(q("a"), *[job("b")] * 3000)
    reply = cycle(db, 1, 10, ["a"], free=slots(10))
    assert taken(reply) == (" ".join("b" * 10), "")
    assert db.hget(SUSPECTS, q("a")) == b"1"


def test_ten_thousand_suspects_block_nobody(db: Redis) -> None:
    suspects = [add_death(b'{"class":"A","id":%d}' % n, "p") for n in range(10_000)]
    plain = [b'{"class":"B","id":%d}' % n for n in range(5000)]
    db.rpush(q("a"), *suspects, *plain)
    db.hset(SUSPECTS, q("a"), "10000")
    reply = cycle(db, 1, 4500, ["a"], free=slots(4500))
    assert reply[1] == plain[:4500]
    assert db.lrange(q("a"), 0, -1) == suspects + plain[4500:]
    assert db.hget(SUSPECTS, q("a")) == b"10000"


def test_a_repeated_turn_changes_nothing(db: Redis) -> None:
    fill(db, "a1 b c1 d")
    reply = cycle(db, 1, 2, ["a"], free=slots(2))
    assert taken(reply) == ("b d", "left")
    after = snapshot(db)
    again = cycle(db, 1, 2, ["a"], free=slots(2))
    assert again[0] == b"replay"
    assert [value[-len(job("b")):] for value in again[2:]] == jobs("b d")  # fmt: skip
    assert snapshot(db) == after


def test_a_suspect_that_is_given_back_is_counted_again(db: Redis) -> None:
    fill(db, "a1 b1")
    cycle(db, 1, 2, ["a"], free=slots(2), suspects="9")
    assert not db.exists(SUSPECTS)
    cycle(db, 2, 0, ["a"], to_requeue=["1", "0"], ended=["0", "1"])
    assert names(db.lrange(q("a"), 0, -1)) == "a1 b1"
    assert db.hget(SUSPECTS, q("a")) == b"2"
    assert db.ttl(SUSPECTS) > 0


def test_recovery_counts_the_suspects_that_it_puts_back(db: Redis) -> None:
    db.rpush(q("a"), *jobs("a b c"))
    cycle(db, 1, 3, ["a"], free=slots(3))
    fence(db)
    moves = [
        ["2", "requeue", q("a"), job("c")],
        ["1", "poison", FAILED, "entry"],
        ["0", "requeue", q("a"), job("a", 1)],
    ]
    assert recover(db, *moves) == [2, 1, 0]
    assert names(db.lrange(q("a"), 0, -1)) == "a1 c"
    assert db.hgetall(SUSPECTS) == {q("a").encode(): b"1"}
    assert db.ttl(SUSPECTS) > 0


def test_what_lies_amid_many_suspects_is_found(db: Redis) -> None:
    """Of many suspects not each one is read in each turn."""
    suspects = [add_death(b'{"class":"A","id":%d}' % n, "p") for n in range(200)]
    plain = [b'{"class":"B","id":%d}' % n for n in range(60)]
    db.rpush(q("a"), *suspects[:100], *plain[:30], *suspects[100:], *plain[30:])
    db.hset(SUSPECTS, q("a"), "200")
    got: list[bytes] = []
    for turn in range(1, 100):
        ended = slots(2) if turn > 1 else []
        reply = cycle(db, turn, 2, ["a"], ended=ended, free=slots(2) if turn == 1 else ())
        got += reply[1] if len(reply) > 1 else []
    assert sorted(got) == sorted(plain)
    assert db.lrange(q("a"), 0, -1) == suspects
    assert db.hget(SUSPECTS, q("a")) == b"200"


def test_a_trial_finds_suspects_wherever_they_lie(db: Redis) -> None:
    suspect = add_death(b'{"class":"A"}', "p")
    db.rpush(q("a"), *[b"{}"] * 500, suspect, *[b"{}"] * 500)
    db.hset(SUSPECTS, q("a"), "490")
    assert cycle(db, 1, 32, ["a"], free=slots(32), suspects="32") == [0, [suspect]]
    assert db.llen(q("a")) == 1000
    assert not db.exists(SUSPECTS)
