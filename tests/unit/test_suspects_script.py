"""Suspects in the scripts of a turn, of a recovery and of a master's end: before, call, after."""

from __future__ import annotations

import pytest
import redis

from gresque.jobs.crash_history import add_death
from gresque.queue_list import QueueList
from gresque.store.store import Store
from tests.support.worker_scripts import (
    KEYS,
    QUEUES,
    SUSPECTS,
    cycle,
    fence,
    held,
    parts,
    q,
    recover,
    register,
    run,
    slots,
    snapshot,
)

Redis = redis.Redis
ONE, TWO = KEYS.suspects_of("a", 1), KEYS.suspects_of("a", 2)


@pytest.fixture
def db(redis_client: Redis) -> Redis:
    register(redis_client)
    return redis_client


def job(letter: str, deaths: int = 0) -> bytes:
    raw = b'{"class":"%s"}' % letter.encode()
    for number in range(deaths):
        raw = add_death(raw, f"p{number} at noon")
    return raw


def lists(client: Redis, queue: str = "a") -> list[list[bytes]]:
    """Jobs that saw several deaths, one death, none."""
    return [client.lrange(place, 0, -1) for place in KEYS.places(queue)]


def forget(client: Redis, queue: str = "a") -> int:
    found: int = run(client, "forget_suspects", [SUSPECTS, *KEYS.places(queue)[:2], QUEUES], queue)
    return found


def test_recovery_puts_each_job_into_the_list_of_its_deaths(db: Redis) -> None:
    raws = [job("a"), job("b", 1), job("c", 2)]
    db.rpush(q("a"), *raws)
    cycle(db, 1, 3, ["a"], free=slots(3))
    fence(db)
    moves = [["2", "suspect", TWO, "c"], ["1", "suspect", ONE, "b"], ["0", "requeue", q("a"), "a"]]
    assert recover(db, *moves) == [3, 0, 0]
    assert lists(db) == [[b"c"], [b"b"], [b"a"]]
    assert db.smembers(SUSPECTS) == db.smembers(QUEUES) == {b"a"}


def test_to_a_turn_they_are_lists_like_any_other(db: Redis) -> None:
    db.rpush(ONE, job("b", 1))
    db.rpush(q("a"), job("a"))
    register(db)
    keys = ["resque:ledger:p", *["resque:x"] * 4, QUEUES, "resque:failed_queues", SUSPECTS]
    keys += ["resque:stat:retried", "resque:stat:retried:w", KEYS.policies, KEYS.pause_all]
    keys += [KEYS.inflight, KEYS.inflight_of("w"), KEYS.rates]
    reply = run(
        db,
        "cycle",
        [*keys, TWO, ONE, q("a")],
        1,
        5,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        3,
        0,
        0,
        "",
        0,
        *slots(5),
    )
    assert reply == [1, [job("b", 1)], 2, [job("a")]]
    assert db.hget("resque:ledger:p", "0") == b"%d:%s" % (len(ONE), ONE.encode()) + job("b", 1)


@pytest.mark.parametrize("taken_from", [ONE, q("a")])
def test_one_that_is_given_back_goes_to_its_list(db: Redis, taken_from: str) -> None:
    raw = job("b", 1)
    db.rpush(ONE, job("x", 1))
    db.hset("resque:ledger:p", "0", b"%d:%s%s" % (len(taken_from), taken_from.encode(), raw))
    effect = ("0", "suspect", ONE, "a", "", "")
    for _ in range(2):  # the reply is lost
        cycle(db, 1, 0, [], ended=["0"], effects=[effect], totals=(1, 0, 0, 1))
        assert lists(db) == [[], [raw, job("x", 1)], []]
        assert held(db) == {}
        assert db.smembers(SUSPECTS) == {b"a"}


def test_it_stays_in_its_slot_while_nobody_would_notice_it(db: Redis) -> None:
    db.rpush(q("a"), job("b", 1))
    cycle(db, 1, 1, ["a"], free=["0"])
    db.set(SUSPECTS, "x")
    effect = ("0", "suspect", ONE, "a", "", "")
    reply = cycle(db, 2, 0, [], ended=["0"], effects=[effect], totals=(1, 0, 0, 1))
    refused, notes, _ = parts(reply)
    assert (refused, [*notes]) == (["0"], [("move", SUSPECTS)])
    assert not db.exists(ONE)
    assert held(db).keys() == {"0"}


@pytest.mark.parametrize("left", [[], [ONE], [TWO], [ONE, TWO]])
def test_a_queue_without_suspects_leaves_the_set(db: Redis, left: list[str]) -> None:
    db.sadd(SUSPECTS, "a", "b")
    for key in left:
        db.rpush(key, "x")
    assert forget(db) == len(left)
    assert db.smembers(SUSPECTS) == ({b"a", b"b"} if left else {b"b"})
    assert db.smembers(QUEUES) == ({b"a"} if left else set()), "globs find it"


def test_they_come_back_to_the_head_in_their_order(db: Redis, store: Store) -> None:
    db.rpush(TWO, "1", "2")
    db.rpush(ONE, *range(3, 2500))
    db.rpush(q("a"), "2500")
    db.sadd(SUSPECTS, "a")
    assert store.suspects.return_to_queue("a") == 2499
    assert [int(raw) for raw in db.lrange(q("a"), 0, -1)] == list(range(1, 2501))
    assert not db.exists(SUSPECTS, ONE, TWO)
    before = snapshot(db)
    assert store.suspects.return_to_queue("a") == 0
    assert snapshot(db) == before


# suspects of, served by the master that leaves, by others, put back
UNSERVED = [
    ("a", "a", [], 1),
    ("a", "b", [], 0),
    ("a", "*", [], 1),
    ("a", "a", ["b", "a"], 0),
    ("a", "a,b", ["b*"], 1),
    ("a", "a", ["*,!a"], 1),
    ("a", "*,!a", [], 0),
    ("a:b", "a~b", [], 1),  # as the lists stand in process ids
    ("a:b", "*", ["a~b"], 0),
]


@pytest.mark.parametrize(("queue", "own", "others", "count"), UNSERVED)
def test_those_of_queues_that_others_serve_stay(
    db: Redis, store: Store, queue: str, own: str, others: list[str], count: int
) -> None:
    db.sadd(QUEUES, queue)
    db.rpush(KEYS.suspects_of(queue, 1), "x")
    db.sadd(SUSPECTS, queue)
    served = [QueueList.parse(each) for each in others]
    assert store.suspects.return_unserved([QueueList.parse(own)], served) == count
    assert db.llen(q(queue)) == count
    assert store.suspects.queues() == (set() if count else {queue})
