"""Counting the jobs in flight again, by the ledgers."""

from __future__ import annotations

import threading

import pytest
import redis

from gresque.connection.tracked import TrackedConnection
from gresque.control.counts import by_worker, verify_counts
from gresque.errors import GresqueError
from gresque.store.counts import Drift
from gresque.store.keys import Keys
from gresque.store.ledger import COUNTED, COUNTED_BOTH, COUNTED_OWN, UNCOUNTED, write_entry
from gresque.store.store import Store
from tests.support.ledgers import counted, counts

KEYS = Keys("resque")
WORKER, OTHER = "vm:1:a,b:1:1:1", "vm:2:*:1:1:1"
ONE, TWO, THREE = f"{WORKER}:11:1", f"{WORKER}:12:1", f"{OTHER}:13:1"
RIGHT = {
    KEYS.inflight: {"a": 4, "b": 1},
    KEYS.inflight_of(WORKER): {"a": 2},
    KEYS.inflight_of(OTHER): {"b": 1},
}


def hold(client: redis.Redis, process: str, *jobs: tuple[str, bytes]) -> None:
    """Jobs by the key of their list, with their flags."""
    fields = {
        str(slot): write_entry(list_key.encode(), b"x", flag)
        for slot, (list_key, flag) in enumerate(jobs)
    }
    state = "1 9 0 0 0 0"
    client.hset(KEYS.ledger(process), mapping={"state": state, **fields})  # type: ignore[dict-item]
    client.zadd(KEYS.ledgers, {process: 1})


@pytest.fixture
def client(redis_client: redis.Redis) -> redis.Redis:
    """Three processes of two workers, rightly counted."""
    a, b = KEYS.queue("a"), KEYS.queue("b")
    hold(redis_client, ONE, (a, COUNTED), (a, COUNTED_BOTH), (b, UNCOUNTED))
    hold(redis_client, TWO, (KEYS.suspects_of("a", 1), COUNTED), (a, COUNTED_OWN), (b, COUNTED))
    hold(redis_client, THREE, (a, COUNTED), (b, COUNTED_OWN))
    for counter, queues in RIGHT.items():
        redis_client.hset(counter, mapping=queues)  # type: ignore[arg-type]
    return redis_client


def test_counters_that_are_right_stay(store: Store, client: redis.Redis) -> None:
    assert counted(store) == counts(store) == RIGHT
    assert verify_counts(store) == []
    assert counts(store) == RIGHT


def test_what_was_wrong_is_corrected_and_said(
    store: Store, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    client.hset(KEYS.inflight, mapping={"a": 7, "gone": 2, "odd": "many"})
    client.hdel(KEYS.inflight, "b")
    client.delete(KEYS.inflight_of(WORKER))
    client.hset(KEYS.inflight_of(OTHER), "b", 0)
    assert sorted(verify_counts(store)) == [
        Drift(KEYS.inflight, "a", "7", 4),
        Drift(KEYS.inflight, "b", "0", 1),
        Drift(KEYS.inflight, "gone", "2", 0),
        Drift(KEYS.inflight, "odd", "many", 0),
        Drift(KEYS.inflight_of(WORKER), "a", "0", 2),
        Drift(KEYS.inflight_of(OTHER), "b", "0", 1),
    ]
    assert counts(store) == RIGHT
    first = caplog.messages[0]
    assert first.startswith("resque:inflight counted ")
    assert "corrected" in first
    assert verify_counts(store) == []


def test_nothing_is_left_where_nothing_is_in_flight(store: Store, client: redis.Redis) -> None:
    client.delete(*map(KEYS.ledger, (ONE, TWO, THREE)))
    assert len(verify_counts(store)) == 4
    assert not client.keys("resque:inflight*")


def test_who_waits_for_a_place_is_told_of_one(
    store: Store, client: redis.Redis, redis_url: str
) -> None:
    """And nobody of a count that was too low."""
    client.hset(KEYS.inflight, mapping={"a": 7, "b": 0})
    waiting = TrackedConnection(redis_url, "resque")
    waiting.connect()
    for queue in "ab":
        waiting.call(b"GET", KEYS.freed(queue))
    verify_counts(store)
    waiting.call(b"PING")  # what was to be announced came before this reply
    assert waiting.hear()
    assert waiting.invalidated == [KEYS.freed("a").encode()]
    assert not client.keys("resque:freed:*")
    waiting.close()


def test_a_process_that_has_come_meanwhile_is_looked_at(store: Store, client: redis.Redis) -> None:
    """Its jobs are counted already: without its ledger they would be taken for too many."""
    known = by_worker([ONE, TWO])
    assert store.counts.correct(known, ["a", "b"]) is None
    assert counts(store) == RIGHT
    gone = by_worker([ONE, TWO, THREE, f"{OTHER}:14:1"])
    assert store.counts.correct(gone, ["a", "b"]) == []


def test_processes_that_come_all_the_time(
    store: Store, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store.processes, "ids", lambda: [ONE])
    with pytest.raises(GresqueError, match="processes start faster"):
        verify_counts(store)


def test_too_many_processes_for_one_call(store: Store, client: redis.Redis) -> None:
    client.zadd(KEYS.ledgers, {f"{WORKER}:{number}:1": 1 for number in range(100, 4100)})
    with pytest.raises(GresqueError, match="4,003 processes are too many for one call"):
        verify_counts(store)


@pytest.mark.parametrize("key", [KEYS.ledger(TWO), KEYS.ledgers])
def test_nothing_is_corrected_by_what_cannot_be_read(
    store: Store, client: redis.Redis, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    client.set(key, "x")
    client.hset(KEYS.inflight, "a", 7)
    assert verify_counts(store) == []
    assert client.hget(KEYS.inflight, "a") == b"7"
    assert any(key in message for message in caplog.messages)


def test_a_counter_of_another_type_is_named(
    store: Store, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    client.set(KEYS.inflight, "x")
    client.hset(KEYS.inflight_of(WORKER), "a", 9)
    assert verify_counts(store) == [Drift(KEYS.inflight_of(WORKER), "a", "9", 2)]
    assert any("resque:inflight is not a hash" in message for message in caplog.messages)


def test_it_is_exact_while_jobs_move(store: Store, client: redis.Redis, redis_url: str) -> None:
    """Jobs come and go with their counts, and a drift is found all the same."""
    move = """
        for _ = 1, 5 do
          local slot = ARGV[1]
          if redis.call('HDEL', KEYS[1], slot) == 1 then redis.call('HINCRBY', KEYS[2], 'a', -1)
          else
            redis.call('HSET', KEYS[1], slot, ARGV[2])
            redis.call('HINCRBY', KEYS[2], 'a', 1)
          end
        end
    """
    is_over = threading.Event()

    def work(process: str) -> None:
        own, number = redis.Redis.from_url(redis_url), 0
        entry = write_entry(KEYS.queue("a").encode(), b"x", COUNTED)
        while not is_over.is_set():
            number += 1
            own.eval(move, 2, KEYS.ledger(process), KEYS.inflight, f"{number % 7}+", entry)
        own.close()

    threads = [threading.Thread(target=work, args=(each,)) for each in (ONE, TWO, THREE)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            assert verify_counts(store) == []
            client.hincrby(KEYS.inflight, "a", 3)
            (drift,) = verify_counts(store)
            assert int(drift.counted) - drift.held == 3
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    assert counts(store) == counted(store)
