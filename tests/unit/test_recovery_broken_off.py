"""A recovery that broke off, or was shared by two, moves and counts each job once."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import redis

from gresque.store.effects import requeued
from gresque.store.ledger import Totals
from gresque.store.recovery import Move
from gresque.store.store import Store
from gresque.worker.recovery import BATCH
from tests.support.dead_process import DEAD, PROCESS, failed, gone, hold, item, queue, recovery

Redis = redis.Redis


def test_again_after_it_broke_off(store: Store, redis_client: Redis) -> None:
    """What was not moved stands in the ledger still, and whoever comes next moves it."""
    hold(redis_client, *(item("plain", number) for number in range(10)), state="9 12 1 1 0 0")
    store.recovery.fence(PROCESS)
    move = Move(b"3", "requeue", item("plain", 3), requeued(store.keys, "q"))
    store.recovery.move(PROCESS, [move])
    assert not gone(redis_client)
    totals = recovery(store).recover(DEAD)
    assert totals.requeued == 10  # what was moved before counts, too
    assert len(queue(redis_client)) == 10
    assert gone(redis_client)


@pytest.mark.parametrize(("part", "call"), [("recovery", "move"), ("maintenance", "write_vitals")])
def test_jobs_count_though_redis_goes_away_once_they_are_moved(
    store: Store, redis_client: Redis, monkeypatch: pytest.MonkeyPatch, part: str, call: str
) -> None:
    hold(redis_client, item("plain"), item("fails"), state="9 12 9 1 0 0")
    one, do = recovery(store), getattr(getattr(store, part), call)

    def lose_the_answer(*arguments: Any) -> None:
        do(*arguments)
        monkeypatch.undo()
        raise redis.ConnectionError

    monkeypatch.setattr(getattr(store, part), call, lose_the_answer)
    with pytest.raises(redis.ConnectionError):
        one.recover(DEAD)
    assert one.recover(DEAD) == Totals(reserved=12, done=9, failed=2, requeued=1)
    assert gone(redis_client)
    assert one.recover(DEAD) == Totals()


def test_the_ledger_keeps_the_totals_until_they_are_counted(
    store: Store, redis_client: Redis
) -> None:
    """A process that recovered them may die before they stand among its own."""
    hold(redis_client, item("fails"), item("plain"), state="9 12 5 3 2 0")
    for _ in range(3):
        assert recovery(store).empty(DEAD) == Totals(12, 5, 4, 3)
    assert recovery(store).empty(DEAD._replace(counted=True)) == Totals()
    assert not gone(redis_client)
    assert recovery(store).recover(DEAD._replace(counted=True)) == Totals()
    assert gone(redis_client)
    assert len(store.recovery.log(9)) == 1
    unknown = DEAD._replace(totals=Totals(1, 1))
    assert recovery(store).empty(unknown) == Totals(1, 1)
    assert recovery(store).empty(unknown._replace(counted=True)) == Totals()


def test_a_server_that_has_forgotten_that_the_process_is_dead(
    store: Store, redis_client: Redis
) -> None:
    """It may hold an older job in the slot of the one that was read."""
    hold(redis_client, item("plain", 1), state="9 5 0 0 0 0")
    store.recovery.fence(PROCESS)
    hold(redis_client, item("plain", 0), state="8 4 0 0 0 0")
    move = Move(b"0", "requeue", item("plain", 1), requeued(store.keys, "q"))
    with pytest.raises(redis.ResponseError, match="FORGOTTEN"):
        store.recovery.move(PROCESS, [move])
    assert queue(redis_client) == []
    assert recovery(store).recover(DEAD).requeued == 1
    assert queue(redis_client) == [item("plain", 0)]
    assert gone(redis_client)


def test_two_that_recover_the_same_process(
    redis_url: str, store: Store, redis_client: Redis
) -> None:
    count = 2 * BATCH
    names = ("plain", "fails")
    hold(redis_client, *(item(names[number % 2], number) for number in range(count)))
    start = threading.Barrier(2)

    def recover() -> None:
        own = Store(redis_url, "resque")
        start.wait()
        recovery(own).recover(DEAD)
        own.close()

    threads = [threading.Thread(target=recover) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(queue(redis_client)) == len(failed(redis_client)) == BATCH
    assert store.stats.values([store.keys.processed, store.keys.failures]) == [BATCH, BATCH]
    assert gone(redis_client)
