"""The table of effects and the scripts agree, and what a further kind takes."""

from __future__ import annotations

import re
from typing import Any

import pytest
import redis

from gresque.connection.scripts import join
from gresque.store.effects import KINDS, Effect, failed, requeued, suspected
from gresque.store.keys import Keys
from tests.unit.test_cycle_script import (
    LEDGER,
    QUEUES,
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
    return set(re.findall(rf"^(?:function )?{table}\.(\w+)(?: =|\()", EFFECTS, re.MULTILINE))


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


# A further kind: one branch in the include

COUNT = """
function apply.count(hash, _, field, by)
  return note('count', pcall('HINCRBY', hash, field, by), 'HINCRBY', hash)
end
function test.push(queue, name) return may_move('RPUSH', queue, queues, name) end
function apply.push(queue, _, name, item) return pcall('RPUSH', queue, item) end
"""


@pytest.fixture
def db(redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> redis.Redis:
    """The script of a turn with two kinds more, one of each class."""
    from gresque.connection.scripts import Script
    from tests.unit import test_cycle_script

    original = test_cycle_script.script

    def script(name: str) -> Script:
        found = original(name)
        text = found.text.decode().replace("local function job_in", COUNT + "local function job_in")
        return Script(text.encode(), b"")

    monkeypatch.setattr(test_cycle_script, "script", script)
    register(redis_client)
    return redis_client


def turn(db: redis.Redis, *effects: tuple[Any, ...], totals: Any = (2, 2, 0, 0)) -> Any:
    ended = list(dict.fromkeys(effect[0] for effect in effects))
    return parts(
        cycle(db, 2, 0, [], ended=ended, effects=effects, totals=totals, counted=(len(ended), 0))
    )


def test_a_counting_effect_happens_with_the_acknowledgement(db: redis.Redis) -> None:
    reserve(db, "12")
    effects = [
        ("0", "count", "in_flight", "a", "-1", ""),
        ("1", "count", "in_flight", "b", "-1", ""),
    ]
    for _ in range(2):  # the reply is lost
        refused, notes, _ = turn(db, *effects)
        assert (refused, notes, held(db)) == ([], {}, {})
        assert db.hgetall("in_flight") == {b"a": b"-1", b"b": b"-1"}


def test_a_counting_effect_that_is_refused_is_skipped(db: redis.Redis) -> None:
    reserve(db, "12")
    db.set("in_flight", "x")
    refused, notes, _ = turn(db, ("0", "count", "in_flight", "a", "-1", ""))
    assert (refused, notes) == ([], {("count", "in_flight"): WRONG_TYPE})
    assert held(db).keys() == {"1"}


def test_of_a_job_with_a_carrier_that_is_refused_nothing_happens(db: redis.Redis) -> None:
    """Neither its counting effects, nor its other carriers."""
    reserve(db, "12")
    db.set(q("bad"), "x")
    refused, notes, _ = turn(
        db,
        ("0", "push", q("good"), "good", "next", ""), ("0", "push", q("bad"), "bad", "next", ""),
        ("0", "count", "in_flight", "a", "-1", ""), ("1", "count", "in_flight", "b", "-1", ""),
    )  # fmt: skip
    assert (refused, notes) == (["0"], {("move", q("bad")): WRONG_TYPE})
    assert not db.exists(q("good"))
    assert db.hgetall("in_flight") == {b"b": b"-1"}
    assert held(db).keys() == {"0"}
    assert db.sismember(QUEUES, "good"), "an index may name a queue that is empty"
    assert state(db) == "2!0 2 1 0 0"
    assert db.type(LEDGER) == b"hash"
