"""The turn of a worker process under policies: paused, full and rated queues."""

from __future__ import annotations

import time

import pytest
import redis

from gresque.store.policies import pauses_all
from tests.support.limited_turns import HOUR, Turns, policies, push
from tests.support.worker_scripts import (
    FIXED,
    INFLIGHT,
    KEYS,
    LEDGER,
    OWN_INFLIGHT,
    PAUSE_ALL,
    POLICIES,
    RATES,
    cycle,
    parts,
    q,
    run,
    slots,
)

Redis = redis.Redis


def test_without_policies_nothing_is_counted(db: Redis, turns: Turns) -> None:
    push(db, a=2)
    assert turns.take(5) == ([":a0", ":a1"], [], [])
    assert not db.exists(INFLIGHT, OWN_INFLIGHT, RATES, POLICIES)


def test_without_policies_one_look_at_them_is_all(db: Redis, turns: Turns) -> None:
    """And a turn that wants no jobs does not look."""
    turns.take(0)
    push(db, a=3)
    db.config_resetstat()
    turns.take(2)
    # The HGETALL is that of `cycle`, which looks into the ledger.
    assert calls(db) == {"exists": 1, "hdel": 1, "hget": 1, "hgetall": 1, "hset": 2, "lpop": 1}
    db.config_resetstat()
    turns.take(0, ended=["0"])
    assert "exists" not in calls(db)


def calls(db: Redis) -> dict[str, int]:
    """What has been called since `config_resetstat`, by scripts and by `cycle`."""
    counted = db.info("commandstats")
    found = {name.removeprefix("cmdstat_"): each["calls"] for name, each in counted.items()}
    for own in ("config|resetstat", "evalsha", "eval", "info"):
        found.pop(own, None)
    return found


@pytest.mark.parametrize(
    ("texts", "pause_all", "taken", "paused"),
    [
        ({"a": "p"}, None, ["b0"], [0]),
        ({"a": "p", "b": "p"}, None, [], [0, 1]),
        ({"a": "c5 p"}, None, ["b0"], [0]),
        ({"a": "x  p  y"}, None, ["b0"], [0]),
        ({"a": "pp"}, None, ["a0", "b0"], []),
        ({"z": "p"}, None, ["a0", "b0"], []),
        ({}, "true", [], [0, 1]),
        ({}, " TRUE\n", [], [0, 1]),
        ({}, "\0\t True\r\n\0", [], [0, 1]),
        ({}, "1", ["a0", "b0"], []),
        ({}, "true false", ["a0", "b0"], []),
        ({}, "yes", ["a0", "b0"], []),
        ({}, "false", ["a0", "b0"], []),
        ({}, "", ["a0", "b0"], []),
    ],
)
def test_a_paused_queue_is_passed_over(
    db: Redis, turns: Turns, texts: dict[str, str], pause_all: str | None, taken: list[str],
    paused: list[int],
) -> None:  # fmt: skip
    push(db, a=1, b=1)
    policies(db, **texts)
    if pause_all is not None:
        db.set(PAUSE_ALL, pause_all)
    assert pauses_all(db.get(PAUSE_ALL)) == (not texts and paused == [0, 1])
    found, stopped, limited = turns.take(5)
    assert ([each[1:] for each in found], stopped, limited) == (taken, paused, [])
    assert db.llen(q("a")) + db.llen(q("b")) + len(taken) == 2


def test_the_suspects_of_a_queue_follow_its_policy(db: Redis) -> None:
    suspects = KEYS.suspects_of("a", 1)
    keys = [*FIXED, suspects, q("a")]
    db.rpush(suspects, "s")
    push(db, a=1)
    policies(db, a="p")
    numbers = [1, 5, 0, *[0] * 8, 2, 0, 0, "", 0, *slots(5)]
    assert run(db, "cycle", keys, *numbers) == [b"refused", [], [], [], 0, [0, 1], []]
    policies(db, a="c1")
    numbers[0] = 2
    reply = run(db, "cycle", keys, *numbers)
    assert reply == [b"refused", [], [], [1000, [b"s"]], 0, [], [0, 1]]
    assert db.hgetall(INFLIGHT) == {b"a": b"1"}
    assert db.hget(LEDGER, "0") == b"%d+%s" % (len(suspects), suspects.encode()) + b"s"


def test_a_cap_counts_until_the_job_ends(db: Redis, turns: Turns) -> None:
    push(db, a=5, b=1)
    policies(db, a="c2")
    assert turns.take(9) == (["+a0", "+a1", ":b0"], [], [0])
    assert db.hgetall(INFLIGHT) == {b"a": b"2"}
    assert turns.take(9) == ([], [], [0])
    assert turns.take(9, ended=[turns.slot("b0")]) == ([], [], [0])
    assert turns.take(9, ended=[turns.slot("a0")]) == (["+a2"], [], [0])
    assert turns.take(0, ended=[turns.slot("a1"), turns.slot("a2")]) == ([], [], [])
    assert not db.exists(INFLIGHT)
    assert turns.take(1) == (["+a3"], [], [])
    push(db, b=1)
    assert turns.take(9) == (["+a4", ":b0"], [], [0])


def test_jobs_count_by_their_flag_when_the_cap_is_gone(db: Redis, turns: Turns) -> None:
    push(db, a=3)
    policies(db, a="c2")
    turns.take(2)
    policies(db)
    assert turns.take(1) == ([":a2"], [], [])
    assert db.hgetall(INFLIGHT) == {b"a": b"2"}
    turns.take(0, ended=[turns.slot("a0"), turns.slot("a2")])
    assert db.hgetall(INFLIGHT) == {b"a": b"1"}
    turns.take(0, ended=[turns.slot("a1")])
    assert not db.exists(INFLIGHT)


def test_a_lowered_cap_drains(db: Redis, turns: Turns) -> None:
    push(db, a=9)
    policies(db, a="c5")
    turns.take(9)
    policies(db, a="c2")
    for number in range(3):
        assert turns.take(9, ended=[turns.slot(f"a{number}")]) == ([], [], [0])
    assert turns.take(9, ended=[turns.slot("a3")]) == (["+a5"], [], [0])


def test_the_own_cap_of_a_worker(db: Redis, turns: Turns) -> None:
    push(db, a=5, b=5)
    assert turns.take(9, caps="0=2 1=1") == (["@a0", "@a1", "@b0"], [], [0, 1])
    assert db.hgetall(OWN_INFLIGHT) == {b"a": b"2", b"b": b"1"}
    policies(db, b="c3")
    db.hset(INFLIGHT, "b", "2")  # of other workers
    slot = turns.slot("b0")
    assert turns.take(9, caps="0=2 1=1", ended=[slot]) == (["#b1"], [], [0, 1])
    assert db.hgetall(INFLIGHT) == {b"b": b"3"}
    assert turns.take(9, caps="1=1", ended=[turns.slot("a0")])[0] == [":a2", ":a3", ":a4"]
    turns.take(0, ended=[turns.slot("a1"), turns.slot("b1")])
    assert db.hgetall(INFLIGHT) == {b"b": b"2"}
    assert not db.exists(OWN_INFLIGHT)


def test_a_refused_job_stays_counted(db: Redis, turns: Turns) -> None:
    push(db, a=1)
    policies(db, a="c1")
    turns.take(1)
    db.set("resque:failed", "x")
    effect = ("0", "fail", "resque:failed", "entry", "", "")
    reply = cycle(db, 2, 1, ["a"], ended=["0"], effects=[effect], counted=(1, 1), freed=["a"],
                  totals=(1, 0, 1, 0))  # fmt: skip
    assert parts(reply)[0] == ["0"]
    assert db.hgetall(INFLIGHT) == {b"a": b"1"}
    db.delete("resque:failed")
    cycle(db, 3, 1, ["a"], ended=["0"], effects=[effect], counted=(1, 1), freed=["a"],
          totals=(1, 0, 1, 0))  # fmt: skip
    assert not db.exists(INFLIGHT)


def test_a_turn_that_is_repeated_counts_once(db: Redis, turns: Turns) -> None:
    push(db, a=9)
    policies(db, a="c3 r9/9000b9")
    for _ in range(2):
        cycle(db, 1, 2, ["a"], free=slots(2))
        assert db.hgetall(INFLIGHT) == {b"a": b"2"}
    tat = db.hget(RATES, "a")
    for _ in range(2):
        cycle(db, 2, 1, ["a"], ended=["0", "1"], freed=["a"], totals=(2, 2, 0, 0))
        assert db.hgetall(INFLIGHT) == {b"a": b"1"}
    assert int(db.hget(RATES, "a")) == int(tat) + 1_000_000


@pytest.mark.parametrize("key", [POLICIES, PAUSE_ALL])
def test_policies_that_cannot_be_read_are_named_and_stop_nothing(
    db: Redis, turns: Turns, key: str
) -> None:
    push(db, a=1)
    db.rpush(key, "x")
    assert turns.take(1) == ([":a0"], [], [])
    assert turns.notes.keys() == {("look", key)}


@pytest.mark.parametrize(("key", "text"), [(INFLIGHT, "c5"), (RATES, "r5/1000b5")])
def test_a_counter_that_cannot_be_read_stops_its_queue(
    db: Redis, turns: Turns, key: str, text: str
) -> None:
    push(db, a=1, b=1)
    policies(db, a=text)
    db.set(key, "x")
    assert turns.take(2) == ([":b0"], [], [0])
    assert turns.notes.keys() == {("look", key)}


# Rates


def test_a_rate_allows_its_burst_and_says_when_the_next_is_due(db: Redis, turns: Turns) -> None:
    push(db, a=9, b=1)
    policies(db, a=f"r1/{HOUR}b3")
    assert turns.take(9) == ([":a0", ":a1", ":a2", ":b0"], [], [0])
    assert HOUR - 5000 < turns.wait < HOUR
    assert turns.take(9) == ([], [], [0])
    assert HOUR - 5000 < turns.wait < HOUR


def test_a_rate_that_is_not_used_leaves_nothing(db: Redis, turns: Turns) -> None:
    policies(db, a="r1000/1b5 c5")
    assert turns.take(9) == ([], [], [])
    push(db, a=1)
    assert turns.take(9) == (["+a0"], [], [])
    time.sleep(0.01)
    assert turns.take(9, ended=["0"]) == ([], [], [])
    assert not db.exists(RATES, INFLIGHT)


def test_a_rate_over_time(db: Redis, turns: Turns) -> None:
    """500 jobs a second, up to five at once: in any time no more than it brings, and five."""
    policies(db, a="r500/1000b5")
    push(db, a=90)
    taken: list[tuple[float, float]] = []  # not before, and not after
    start = time.monotonic()
    while (before := time.monotonic() - start) < 0.1:
        jobs = len(turns.take(90)[0])
        taken += [(before, time.monotonic() - start)] * jobs
    assert 5 < len(taken) <= 5 + taken[-1][1] * 500 + 1
    for first, (since, _) in enumerate(taken):
        surely = [each for each in taken[first:] if each[1] <= since + 0.02]
        assert len(surely) <= 5 + 0.02 * 500 + 1


@pytest.mark.parametrize(("jobs", "late"), [(10, 49_000), (20, 44_000)])
def test_a_job_that_is_looked_for_a_little_late_delays_none_after_it(
    db: Redis, turns: Turns, jobs: int, late: int
) -> None:
    """It counts from when it was due, not from when it was looked for: up to nine tenths of the
    time between two jobs, and 50 ms."""
    policies(db, a=f"r{jobs}/1000b1")
    push(db, a=50)
    for _ in range(50):
        seconds, micros = db.time()
        due = seconds * 1_000_000 + micros + late
        db.hset(RATES, "a", due)
        found = turns.take(9)
        seconds, micros = db.time()
        if seconds * 1_000_000 + micros < due:  # else the machine was busy
            break
    assert len(found[0]) == 1
    assert int(db.hget(RATES, "a")) == due + 1_000_000 // jobs


def test_a_rate_that_was_slow_holds_up_no_longer(db: Redis, turns: Turns) -> None:
    policies(db, a=f"r1/{HOUR}b1")
    push(db, a=9)
    turns.take(1)
    policies(db, a="r10/1000b1")
    assert turns.take(1) == ([], [], [0])
    assert turns.wait <= 101
    time.sleep(0.11)
    assert turns.take(1)[0] == [":a1"]
