"""The table of effects and the scripts agree, and what a further kind takes."""

from __future__ import annotations

import re
from typing import Any

import pytest
import redis

from gresque.connection.scripts import join
from gresque.store.effects import KINDS, Effect, failed, pushed, put_off, requeued, suspected
from gresque.store.keys import Keys
from tests.support.worker_scripts import (
    FAILURES,
    LEDGER,
    OWN_RETRIED,
    PROCESSED,
    QUEUES,
    RETRIED,
    WRONG_TYPE,
    cycle,
    held,
    parts,
    q,
    register,
    reserve,
    state,
)

KEYS = Keys("resque")
EFFECTS = join("include/effects")


def branches(table: str) -> set[str]:
    return set(re.findall(rf"^(?:function |test.\w+, )?{table}\.(\w+)[ ,(]", EFFECTS, re.MULTILINE))


def test_the_scripts_have_a_branch_for_each_kind_that_is_built() -> None:
    assert branches("apply") == {name for name, kind in KINDS.items() if kind.built}


def test_the_scripts_test_the_carriers() -> None:
    assert branches("test") == {name for name, kind in KINDS.items() if kind.built and kind.carrier}


def test_what_takes_the_job_in_the_slot() -> None:
    listed = re.search(r"takes_job = .*?(\{.*?\}),?$", EFFECTS.replace("\n", " "))
    takes = set(re.findall(r"(\w+) = true", EFFECTS))
    assert listed is None or takes
    assert takes == {name for name, kind in KINDS.items() if "the job" in kind.does and kind.built}


@pytest.mark.parametrize("name", ["cycle", "catch_up", "recover"])
def test_every_script_that_moves_jobs_includes_them(name: str) -> None:
    assert EFFECTS.rstrip("\n") in join(name)


def test_effects_are_made_by_name() -> None:
    assert failed("resque:failed", b"e", "f") == Effect("fail", "resque:failed", b"e", "f")
    assert requeued(KEYS, "a") == Effect("requeue", "resque:queue:a", "a")
    assert suspected(KEYS, "a", 1) == Effect("suspect", "resque:suspects:1:a", "a")
    assert suspected(KEYS, "a", 7) == Effect("suspect", "resque:suspects:2:a", "a")
    assert all(each.kind in KINDS for each in (failed("k", b""), requeued(KEYS, "a")))
    assert pushed(KEYS, "a", b"x") == Effect("push", "resque:queue:a", "a", b"x")
    assert put_off("later", KEYS, "a", 1500, "id", b"x") == Effect(
        "later", "resque:later", 1500, "id", b"14:resque:queue:ax", "resque:later:jobs"
    )
    assert put_off("snooze", KEYS, "a", -1, "id", b"x").a == 0


# A further kind: one branch in the include

COUNT = """
function apply.tally(hash, _, field, by)
  return note('count', pcall('HINCRBY', hash, field, by), 'HINCRBY', hash)
end
"""


@pytest.fixture
def db(redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> redis.Redis:
    """The script of a turn with two kinds more, one of each class."""
    from gresque.connection.scripts import Script
    from tests.support import worker_scripts

    original = worker_scripts.script

    def script(name: str) -> Script:
        found = original(name)
        text = found.text.decode().replace("local function job_in", COUNT + "local function job_in")
        return Script(text.encode(), b"")

    monkeypatch.setattr(worker_scripts, "script", script)
    register(redis_client)
    return redis_client


def turn(db: redis.Redis, *effects: tuple[Any, ...], totals: Any = (2, 2, 0, 0, 0)) -> Any:
    ended = list(dict.fromkeys(effect[0] for effect in effects))
    return parts(
        cycle(db, 2, 0, [], ended=ended, effects=effects, totals=totals, counted=(len(ended), 0))
    )


def test_a_counting_effect_happens_with_the_acknowledgement(db: redis.Redis) -> None:
    reserve(db, "12")
    effects = [
        ("0", "tally", "in_flight", "a", "-1", ""),
        ("1", "tally", "in_flight", "b", "-1", ""),
    ]
    for _ in range(2):  # the reply is lost
        refused, notes, _ = turn(db, *effects)
        assert (refused, notes, held(db)) == ([], {}, {})
        assert db.hgetall("in_flight") == {b"a": b"-1", b"b": b"-1"}


def test_a_counting_effect_that_is_refused_is_skipped(db: redis.Redis) -> None:
    reserve(db, "12")
    db.set("in_flight", "x")
    refused, notes, _ = turn(db, ("0", "tally", "in_flight", "a", "-1", ""))
    assert (refused, notes) == ([], {("count", "in_flight"): WRONG_TYPE})
    assert held(db).keys() == {"1"}


def test_of_a_job_with_a_carrier_that_is_refused_nothing_happens(db: redis.Redis) -> None:
    """Neither its counting effects, nor its other carriers."""
    reserve(db, "12")
    db.set(q("bad"), "x")
    refused, notes, _ = turn(
        db,
        ("0", "push", q("good"), "good", "next", ""), ("0", "push", q("bad"), "bad", "next", ""),
        ("0", "tally", "in_flight", "a", "-1", ""), ("1", "tally", "in_flight", "b", "-1", ""),
        totals=(2, 1, 0, 0, 1),
    )  # fmt: skip
    assert (refused, notes) == (["0"], {("move", q("bad")): WRONG_TYPE})
    assert not db.exists(q("good"))
    assert db.hgetall("in_flight") == {b"b": b"-1"}
    assert held(db).keys() == {"0"}
    assert state(db) == "2!0 2 1 0 0 0"
    assert db.type(LEDGER) == b"hash"


# Jobs that wait for their time

LATER, WAITING = KEYS.later, KEYS.later_jobs


@pytest.fixture
def registered(redis_client: redis.Redis) -> redis.Redis:
    register(redis_client)
    return redis_client


def later(slot: str, delay: int, member: str, raw: str, kind: str = "later") -> tuple[Any, ...]:
    return slot, kind, LATER, delay, member, f"{len(q('a'))}:{q('a')}{raw}", WAITING


def put(db: redis.Redis, *effects: tuple[Any, ...], totals: Any, counted: Any) -> Any:
    ended = list(dict.fromkeys(effect[0] for effect in effects))
    return parts(cycle(db, 2, 0, [], ended=ended, effects=effects, totals=totals, counted=counted))


def jobs(db: redis.Redis) -> dict[bytes, bytes]:
    return {
        name: entry.removeprefix(b"14:resque:queue:a")
        for name, entry in db.hgetall(WAITING).items()
    }


@pytest.mark.parametrize("sent", [0, 2])
def test_a_job_waits_for_its_time_once(registered: redis.Redis, sent: int) -> None:
    """Its delay counts by the clock of the server, from the first time the turn is sent."""
    db = registered
    reserve(db, "123")
    effects = [later("0", 60_000, "id1", "1 again"), later("1", 0, "id2", "2", kind="snooze")]
    before = db.time()
    assert put(db, *effects, totals=(3, 0, 0, 1, 1), counted=(0, 0, 1)) == ([], {}, [])
    after = db.time()
    for _ in range(sent):
        _, _, reply = put(db, *effects, totals=(3, 0, 0, 1, 1), counted=(0, 0, 1))
        assert reply[0] == b"replay"
    assert jobs(db) == {b"id1": b"1 again", b"id2": b"2"}
    start, end = (seconds * 1000 + micros / 1000 for seconds, micros in (before, after))
    assert start <= db.zscore(LATER, "id2") <= end + 1
    assert start <= db.zscore(LATER, "id1") - 60_000 <= end + 1
    assert held(db).keys() == {"2"}
    assert state(db) == "2 3 0 0 1 1"
    assert db.mget(RETRIED, OWN_RETRIED) == [b"1", b"1"]
    assert db.mget(PROCESSED, FAILURES) == [None, None]


def test_jobs_with_one_id_wait_beside_each_other(registered: redis.Redis) -> None:
    db = registered
    reserve(db, "1234")
    db.hset(WAITING, "id1", "of another program")
    db.zadd(LATER, {"id1": 7})
    put(
        db,
        *(later(str(n), 5, "id1", str(n)) for n in range(3)),
        totals=(4, 0, 0, 0, 3),
        counted=(0, 0, 3),
    )
    assert sorted(jobs(db).values()) == [b"0", b"1", b"2", b"of another program"]
    assert db.zcard(LATER) == 4
    assert db.zscore(LATER, "id1") == 7
    assert jobs(db).keys() == set(db.zrange(LATER, 0, -1))


@pytest.mark.parametrize("spoilt", [LATER, WAITING, q("a")])
def test_a_job_that_cannot_be_put_off_stays_in_its_slot(
    registered: redis.Redis, spoilt: str
) -> None:
    """The others go on, and it goes on as soon as it can."""
    db = registered
    reserve(db, "123")
    db.set(spoilt, "x")
    effects = [
        later("0", 5, "id1", "1"), ("1", "push", q("a"), "a", "2 again", ""),
        ("2", "fail", "resque:failed", "e3", "", ""),
    ]  # fmt: skip
    refused, notes, _ = put(db, *effects, totals=(3, 0, 1, 0, 2), counted=(1, 1, 2))
    stays = "1" if spoilt == q("a") else "0"
    assert (refused, notes) == ([stays], {("move", spoilt): WRONG_TYPE})
    assert held(db).keys() == {stays}
    assert state(db) == f"2!{stays} 3 0 1 0 1"
    assert db.mget(RETRIED, PROCESSED, FAILURES) == [b"1", b"1", b"1"]
    assert db.exists(LATER, WAITING) == (2 if spoilt == q("a") else 1)
    db.delete(spoilt)
    (effect,) = (effect for effect in effects if effect[0] == stays)
    reply = cycle(
        db, 3, 0, [], ended=[stays], effects=[effect], totals=(3, 0, 1, 0, 2), counted=(0, 0, 1)
    )
    assert parts(reply) == ([], {}, [])
    assert not held(db)
    assert len(jobs(db)) == 1 and db.lrange(q("a"), 0, -1) == [b"2 again"]


def test_a_job_is_tried_again_behind_all_others(registered: redis.Redis) -> None:
    db = registered
    reserve(db, "12")
    db.rpush(q("a"), "9")
    db.delete(QUEUES)
    for _ in range(2):
        put(
            db, ("0", "push", q("a"), "a", "1 again", ""), totals=(2, 0, 0, 0, 1), counted=(0, 0, 1)
        )
    assert db.lrange(q("a"), 0, -1) == [b"9", b"1 again"]
    assert db.smembers(QUEUES) == {b"a"}
