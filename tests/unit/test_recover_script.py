"""The script that moves the jobs of a dead worker process."""

from __future__ import annotations

import json
import threading

import redis

from tests.support.worker_scripts import (
    FAILED,
    LEDGER,
    PROCESSES,
    RECOVERIES,
    VITALS,
    counters,
    cycle,
    fence,
    held,
    q,
    recover,
    register,
    reserve,
    slots,
    snapshot,
    waiting,
)

Redis = redis.Redis


# Recovering


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
