"""The scripts with which a worker process registers, beats, leaves, and is declared dead."""

from __future__ import annotations

import pytest
import redis

from gresque.store.ledger import parse_state
from tests.support.worker_scripts import (
    FAILED,
    LEDGER,
    MASTERS,
    PROCESSES,
    VITALS,
    beat,
    cycle,
    fence,
    held,
    publish,
    q,
    register,
    reserve,
    run,
    snapshot,
    unregister,
)

Redis = redis.Redis


# Registering, beating, leaving


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
    values = ("w", "then", "p2", "2026-11-23T15:33:10+00:00", 1, "0 0 0 0 0", "", 7, 0)
    run(db, "register", keys, *values)
    assert not db.exists("resque:stat:processed:w")
    db.srem("resque:workers", "w")
    run(db, "register", keys, *values)
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


def test_publishing_says_whether_somebody_looks(redis_client: Redis) -> None:
    db, length = redis_client, len("r")
    assert publish(db, "r") == [length, 0, 1, []]
    assert not db.exists("resque:watch", "resque:waits:p")
    db.set("resque:watch", "1", ex=10)
    assert publish(db, "", length) == [length, 1, 1, []]
    assert publish(db, "", length, "w", watched=True) == [length, 1, 1, []]
    assert (db.get("resque:watch"), db.get("resque:waits:p")) == (b"1", b"w")
    assert 0 < db.ttl("resque:waits:p") <= 5
    db.expire("resque:waits:p", 1)
    assert publish(db, "", length, watched=True) == [length, 1, 1, []]
    assert db.ttl("resque:waits:p") > 1, "they are as before"
    db.delete("resque:waits:p")
    assert publish(db, "", length, watched=True) == [length, 1, 0, []], "not known there"
    db.delete("resque:watch")
    db.lpush("resque:waits:p", "another program's")
    assert publish(db, "", length, watched=True)[:3] == [length, 0, 1]
    refused = publish(redis_client, "", length, "w", watched=True)[3]
    assert not refused, "a SET takes its place"


def test_what_runs_is_appended_to_what_is_known_to_stand_there(redis_client: Redis) -> None:
    db = redis_client
    assert publish(db, "a")[0] == 1
    assert publish(db, "bc", 1)[0] == 3
    assert db.get("resque:running:p") == b"abc"
    assert 0 < db.ttl("resque:running:p") <= 25
    db.expire("resque:running:p", 1)
    assert publish(db, "", 3)[0] == 3
    assert db.ttl("resque:running:p") > 1
    assert publish(db, "z")[0] == 1
    assert db.get("resque:running:p") == b"z"
    assert publish(db, "")[0] == 0
    assert not db.exists("resque:running:p")


@pytest.mark.parametrize("there", ["", "a", "abcd"])
def test_a_text_of_another_length_is_removed(redis_client: Redis, there: str) -> None:
    if there:
        redis_client.set("resque:running:p", there)
    for line in ("", "x"):
        assert publish(redis_client, line, 3)[0] == -1
        assert not redis_client.exists("resque:running:p")


@pytest.mark.parametrize("after", ["", 3])
def test_what_another_program_keeps_there_gives_way(redis_client: Redis, after: int | str) -> None:
    redis_client.rpush("resque:running:p", "a")
    assert publish(redis_client, "xy", after)[0] == (2 if after == "" else -1)


def test_the_heartbeats_of_all_processes_and_the_workers_of_gresque(db: Redis) -> None:
    db.zadd("resque:ledgers", {"x": 5})
    db.sadd("resque:workers", "ruby:1:q")
    db.hset("resque:heartbeat", "ruby:1:q", "2026-01-01T00:00:00+00:00")
    beats, workers, refused = run(db, "heartbeats", ["resque:ledgers", MASTERS])
    assert [float(score) for score in beats[1::2]] == [5, 1764e9]
    assert (beats[::2], workers, refused) == ([b"x", b"p"], [b"w"], [])


def test_the_processes_of_a_machine(db: Redis) -> None:
    db.hset(PROCESSES, mapping={"x": "elsewhere 8", "y": "machine 9", "z": "machine2 7"})
    found, refused, count = run(db, "processes_of", [PROCESSES], "machine")
    assert dict(zip(found[::2], found[1::2], strict=True)) == {
        b"p": b"machine 7",
        b"y": b"machine 9",
    }
    assert (refused, count) == ([], 4)


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


def test_who_is_not_registered_does_not_beat(db: Redis) -> None:
    db.srem("resque:workers", "w")
    db.zadd("resque:ledgers", {"p": 0})
    assert beat(db, process="gone") == [0, []]
    assert db.zscore("resque:ledgers", "gone") is None
    assert not db.exists("resque:workers")


# Fenced


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
