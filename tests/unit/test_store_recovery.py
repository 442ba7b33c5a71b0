"""Fencing and recovering."""

from __future__ import annotations

import redis

from gresque.store.effects import Effect, failed, pushed, put_off, requeued
from gresque.store.ledger import LedgerEntry, Totals
from gresque.store.recovery import Move
from gresque.store.store import Store
from tests.support.ledgers import KEY, hold

Redis = redis.Redis


def test_fence(store: Store, redis_client: Redis) -> None:
    hold(redis_client, _0=b"x")
    held = store.recovery.fence("p")
    assert held == store.recovery.fence("p")
    assert held == ({b"0": LedgerEntry(KEY, b"x")}, Totals(2, 0, 0, 0), True, {}, None)
    assert redis_client.hget("resque:ledger:p", "state") == b"fenced 3 2 0 0 0 0"
    assert store.recovery.fence("none") == ({}, Totals(), False, {}, None)
    assert not redis_client.exists("resque:ledger:none")


def test_recovered_jobs_may_be_tried_again(store: Store, redis_client: Redis) -> None:
    hold(redis_client, _0=b"x", _1=b"y")
    store.recovery.fence("p")
    moves = [
        Move(b"0", "later", b"x", put_off("later", store.keys, "a", 5_000, "id1", b"x2")),
        Move(b"1", "push", b"y", pushed(store.keys, "a", b"y2")),
    ]
    redis_client.set(store.keys.later_jobs, "x")
    moved = store.recovery.move("p", moves)
    assert (moved.retried, moved.left, [key for key, _ in moved.refused]) == (
        1,
        1,
        [store.keys.later_jobs],
    )
    redis_client.delete(store.keys.later_jobs)
    for retried in (1, 0):
        moved = store.recovery.move("p", moves)
        assert (moved.retried, moved.requeued, moved.failed, moved.left) == (retried, 0, 0, 0)
    assert redis_client.hgetall(store.keys.later_jobs) == {b"id1": b"14:resque:queue:ax2"}
    due = redis_client.zscore(store.keys.later, "id1") / 1000
    assert 0 < due - store.now() <= 5.1
    assert redis_client.lrange(KEY, 0, -1) == [b"y2"]
    assert store.stats.values([store.keys.retried, store.keys.processed]) == [2, 0]
    assert store.recovery.fence("p").totals == Totals(2, 0, 0, 0, 2)


def test_recover(store: Store, redis_client: Redis) -> None:
    hold(redis_client, _0=b"x", _1=b"y", _2=b"z")
    store.recovery.fence("p")
    moves = [
        Move(b"0", "requeue", b"x", requeued(store.keys, "a")),
        Move(b"1", "fail", b"y", failed("resque:failed", b"\xffentry")),
    ]
    assert store.recovery.move("p", moves)[:3] == (1, 1, 1)
    assert store.recovery.move("p", moves)[:3] == (0, 0, 1)
    store.recovery.remove("p", b"{")
    assert store.recovery.move("p", [Move(b"2", "fail", b"", Effect("fail", ""))]) == (
        0,
        1,
        0,
        [b"2"],
        [],
        0,
    )
    assert redis_client.lrange(KEY, 0, -1) == [b"x"]
    assert redis_client.lrange("resque:failed", 0, -1) == [b"\xffentry"]
    assert store.stats.values([store.keys.processed, store.keys.failures]) == [2, 2]
    # Its totals stand there until they are counted.
    for _ in range(2):
        assert store.recovery.fence("p") == ({}, Totals(2, 0, 2, 1), True, {}, None)
        assert store.recovery.move("p", []) == (0, 0, 0, [], [], 0)
    assert redis_client.zscore("resque:ledgers", "p")
    for _ in range(2):
        store.recovery.remove("p", b'{"a":1')
        assert not redis_client.exists("resque:ledger:p", "resque:ledgers")
    assert store.recovery.log(9) == [b'{"a":1,"requeued":1,"failed":2,"poison":0,"retried":0}']
    assert store.recovery.move("p", []) == (0, 0, 0, [], [], 0)


def test_further_effects_of_a_job_go_with_its_move(store: Store, redis_client: Redis) -> None:
    """Once, by the recovery that moves it; and not where it stays in its slot."""
    hold(redis_client, _0=b"x", _1=b"y", _2=b"z")
    store.recovery.fence("p")
    more = pushed(store.keys, "b", b"next")
    # The second key of one effect is the first key of another one.
    waits = put_off("later", store.keys, "a", 5_000, "id", b"z2")
    moves = [
        Move(b"0", "fail", b"", Effect("fail", ""), (more, pushed(store.keys, "c", b"third"))),
        Move(b"1", "requeue", b"y", requeued(store.keys, "b"), (more,)),
        Move(b"2", "later", b"z", waits, (Effect("push", store.keys.later_jobs, "d", b"no"), more)),
    ]
    redis_client.set(store.keys.queue("b"), "no list")
    moved = store.recovery.move("p", moves)
    assert (moved.failed, moved.requeued, moved.retried, moved.left) == (1, 0, 1, 1)
    assert {key for key, _ in moved.refused} == {store.keys.queue("b"), store.keys.later_jobs}
    assert redis_client.lrange(store.keys.queue("c"), 0, -1) == [b"third"]
    redis_client.delete(store.keys.queue("b"))
    for requeued_now in (1, 0):
        moved = store.recovery.move("p", moves)
        assert (moved.failed, moved.requeued, moved.left) == (0, requeued_now, 0)
    assert redis_client.lrange(store.keys.queue("b"), 0, -1) == [b"y", b"next"]
    assert redis_client.lrange(store.keys.queue("c"), 0, -1) == [b"third"]
