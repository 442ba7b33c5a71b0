"""The turn of a worker process under policies: paused, full and rated queues."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from gresque.connection.scripts import script
from gresque.connection.tracked import TrackedConnection
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
    cycle,
    parts,
    q,
    register,
    run,
    rung,
    slots,
)

Redis = redis.Redis
LISTENING, WAITING, WAKE = "resque:listening:a", "resque:waiting:a", "resque:wake:p"
HOUR = 3_600_000


@pytest.fixture
def db(redis_client: Redis) -> Redis:
    register(redis_client)
    return redis_client


@pytest.fixture
def tracked(redis_url: str, db: Redis) -> Iterator[TrackedConnection]:
    connection = TrackedConnection(redis_url)
    connection.connect()
    yield connection
    connection.close()


def push(db: Redis, **counts: int) -> None:
    for queue, count in counts.items():
        db.rpush(q(queue), *(f"{queue}{number}" for number in range(count)))


def policies(db: Redis, **texts: str) -> None:
    db.delete(POLICIES)
    if texts:
        db.hset(POLICIES, mapping=texts)


class Turns:
    """Turns of one process, which numbers them and knows its slots."""

    def __init__(self, db: Redis, queues: str) -> None:
        self.db, self.queues = db, list(queues)
        self.number = 0
        self.slots: dict[str, str] = {}  # -> payload

    def take(self, want: int, *, ended: Any = (), caps: str = "", **options: Any) -> Any:
        """One turn; returns payloads with their flags, what is paused, what is full or dry."""
        self.number += 1
        free = [slot for slot in slots(100) if slot not in self.slots][:want]
        reply = cycle(
            self.db, self.number, want, self.queues, ended=ended, free=free, own_caps=caps,
            counted=(len(ended), 0), freed=self.queues if ended else (), **options,
        )  # fmt: skip
        paused: list[int] = []
        limited: list[int] = []
        self.wait = 0
        if reply and reply[0] == b"refused":
            assert reply[1] == []
            self.notes = parts(reply)[1]
            reply, self.wait, paused, limited = reply[3:]
        for slot in ended:
            del self.slots[slot]
        found = []
        filled = iter([*ended, *free])
        for index, raws in zip(reply[::2], reply[1::2], strict=True):
            for raw in raws:
                self.slots[next(filled)] = raw.decode()
                found.append(":+@#"[index // 1000] + raw.decode())
        return found, paused, limited

    def slot(self, payload: str) -> str:
        return next(slot for slot, raw in self.slots.items() if raw == payload)


@pytest.fixture
def turns(db: Redis) -> Turns:
    return Turns(db, "ab")


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


# Wakes


def listen(
    connection: TrackedConnection, queues: str, *, caps: str = "", limit: int = 4
) -> tuple[int, int]:
    keys = [LISTENING, WAITING, WAKE, POLICIES, PAUSE_ALL, INFLIGHT, OWN_INFLIGHT, RATES, QUEUES,
            SUSPECTS, *map(q, queues), *map(KEYS.freed, queues)]  # fmt: skip
    lua = script("listen_limited")
    found, wait = connection.run(lua, len(keys), *keys, limit, 11, caps, len(queues))
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
