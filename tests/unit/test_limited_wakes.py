"""What wakes an idle worker process while policies hold queues up."""

from __future__ import annotations

import time

import pytest
import redis

from gresque.connection.scripts import script
from gresque.connection.tracked import TrackedConnection
from tests.support.limited_turns import HOUR, Turns, policies, push
from tests.support.worker_scripts import (
    FIXED,
    INFLIGHT,
    KEYS,
    LEDGER,
    OWN_INFLIGHT,
    PAUSE_ALL,
    POLICIES,
    PROCESSED,
    QUEUES,
    RATES,
    SUSPECTS,
    q,
    rung,
)

Redis = redis.Redis
LISTENING, WAITING, WAKE = "resque:listening:a", "resque:waiting:a", "resque:wake:p"


def listen(
    connection: TrackedConnection, queues: str, *, caps: str = "", limit: int = 4
) -> tuple[int, int]:
    keys = [LISTENING, WAITING, WAKE, "resque:polls:a", POLICIES, PAUSE_ALL, INFLIGHT, OWN_INFLIGHT,
            RATES, QUEUES, SUSPECTS, *map(q, queues), *map(KEYS.freed, queues)]  # fmt: skip
    lua = script("listen_limited")
    wait, found, *_ = connection.run(lua, len(keys), *keys, limit, 11, 5000, caps, len(queues))
    connection.invalidated.clear()
    return found, wait


def test_a_paused_queue_wakes_nobody(db: Redis, tracked: TrackedConnection) -> None:
    policies(db, a="p")
    push(db, a=1)
    assert listen(tracked, "ab") == (0, 0)
    push(db, a=1)
    assert not rung(tracked)
    push(db, b=1)
    assert rung(tracked)
    assert listen(tracked, "ab") == (1, 0)
    db.delete(q("b"))
    listen(tracked, "ab")
    policies(db)
    assert rung(tracked)
    assert listen(tracked, "ab") == (1, 0)


def test_a_pause_of_all_wakes_nobody_until_it_ends(db: Redis, tracked: TrackedConnection) -> None:
    db.set(PAUSE_ALL, "true")
    assert listen(tracked, "ab") == (0, 0)
    push(db, a=1)
    assert not rung(tracked)
    db.delete(PAUSE_ALL)
    assert rung(tracked)


@pytest.mark.parametrize("own", [False, True])
def test_a_full_queue_wakes_when_it_has_room(
    db: Redis, tracked: TrackedConnection, turns: Turns, own: bool
) -> None:
    if not own:
        policies(db, a="c2")
    caps = "0=2" if own else ""
    push(db, a=3)
    turns.take(2, caps=caps)
    assert listen(tracked, "ab", caps=caps) == (0, 0)
    push(db, a=1)
    db.hincrby(INFLIGHT, "b", 1)
    assert not rung(tracked)
    turns.take(1, caps=caps, ended=["0"])
    assert not rung(tracked), "the process that settled it has taken the next one"
    turns.take(0, caps=caps, ended=["0", "1"])
    assert rung(tracked)
    assert tracked.invalidated == [KEYS.freed("a").encode()]
    assert listen(tracked, "ab", caps=caps) == (1, 0)
    assert not db.exists(KEYS.freed("a"))


def test_room_that_came_before_it_listens_is_found(
    db: Redis, tracked: TrackedConnection, turns: Turns
) -> None:
    policies(db, a="c1")
    push(db, a=2)
    turns.take(1)
    turns.take(0, ended=["0"])
    assert listen(tracked, "ab") == (1, 0)


def test_an_idle_process_waits_until_a_rate_allows_several(
    db: Redis, tracked: TrackedConnection, turns: Turns
) -> None:
    """Else it would make a turn for each single job of a quick rate."""
    policies(db, a="r1000/10000b10")  # one in 10 ms
    push(db, a=1)
    while True:
        seconds, microseconds = db.time()
        db.hset(RATES, "a", seconds * 1_000_000 + microseconds + 95_000)  # one may start
        found, wait = listen(tracked, "a")
        later = db.time()
        if (later[0] - seconds) * 1_000_000 + later[1] - microseconds < 5_000:
            break
    assert found == 0
    assert 0 < wait <= 6
    assert turns.take(9)[0] == [":a0"]


def test_a_rate_wakes_by_the_time_it_says(
    db: Redis, tracked: TrackedConnection, turns: Turns
) -> None:
    policies(db, a=f"r1/{HOUR}b1")
    push(db, a=2)
    turns.take(1)
    found, wait = listen(tracked, "ab")
    assert found == 0
    assert HOUR - 5000 < wait < HOUR
    push(db, a=1)
    assert not rung(tracked)


def test_what_cannot_be_taken_is_not_looked_for_again(
    db: Redis, tracked: TrackedConnection
) -> None:
    policies(db, a="p")
    db.set(q("b"), "another program's")
    assert listen(tracked, "ab") == (0, 0)
    db.delete(q("b"))
    assert rung(tracked)


def test_one_that_waits_is_not_told(db: Redis, tracked: TrackedConnection) -> None:
    db.zadd(LISTENING, {"resque:wake:other": time.time() + 20})
    policies(db, a="p")
    assert listen(tracked, "ab", limit=1) == (-1, 0)
    assert db.zscore(WAITING, WAKE)
    push(db, b=1)
    assert not rung(tracked)


def test_a_turn_leaves_it_to_listen_limited(db: Redis, tracked: TrackedConnection) -> None:
    """Where something is in the way a turn has no push announced."""
    policies(db, a="p")
    keys = [*FIXED, q("a"), q("b")]
    tracked.run(script("cycle"), len(keys), *keys, 1, 1, 1, *[0] * 8, 2, 0, 0, "", 0, "0")
    push(db, b=1)
    assert not rung(tracked)
    policies(db)
    assert rung(tracked)


def test_what_busy_processes_count_is_not_announced(
    db: Redis, tracked: TrackedConnection, turns: Turns
) -> None:
    policies(db, a="c9 r1000/1000b9")
    turns.take(1)
    keys = [*FIXED, q("a"), q("b")]
    tracked.run(script("cycle"), len(keys), *keys, 2, 1, 0, *[0] * 8, 2, 0, 0, "", 0, "0")
    db.hset(LEDGER, "state", "0 0 0 0 0 0")
    tracked.invalidated.clear()
    tracked.call(b"PING")
    tracked.invalidated.clear()
    other = Turns(db, "ab")
    push(db, a=1)
    other.take(1)
    other.take(0, ended=["0"])
    tracked.call(b"PING")
    assert {key for key in tracked.invalidated if key != LEDGER.encode()} == set()
    assert db.get(PROCESSED) == b"1"
