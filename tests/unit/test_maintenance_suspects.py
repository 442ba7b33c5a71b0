"""The look of a maintenance process for suspects, and what a master does with them at its end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import redis

from gresque.maintenance.suspects import SuspectsWatch, return_suspects
from gresque.queue_list import QueueList
from gresque.store.keys import Keys
from gresque.store.store import Store

KEYS = Keys("resque")


class Master:
    def __init__(self, threads: int, queues: str = "a,b*") -> None:
        self.row = SimpleNamespace(suspects_seen=0)
        self.calls = 0
        settings = SimpleNamespace(queues=QueueList.parse(queues), thread_count=threads)
        spec: Any = SimpleNamespace(settings=settings, row=self.row, tell_master=self.tell)
        self.watch = SuspectsWatch(spec)

    def tell(self) -> None:
        self.calls += 1


def suspect(client: redis.Redis, queue: str) -> None:
    client.rpush(KEYS.suspects_of(queue, 1), "x")
    client.sadd(KEYS.suspects, queue)


@pytest.mark.parametrize(("queue", "threads", "seen"), [
    ("a", 2, 1), ("b7", 2, 1), ("c", 2, 0), ("a", 1, 0),
])  # fmt: skip
def test_the_master_learns_of_suspects_of_its_queues(
    store: Store, redis_client: redis.Redis, queue: str, threads: int, seen: int
) -> None:
    suspect(redis_client, queue)
    master = Master(threads)
    assert master.watch.due(0.0) <= 0
    master.watch.run(store)
    assert (master.row.suspects_seen, master.calls) == (seen, seen)
    assert store.suspects.queues() == {queue}


def test_suspects_of_paused_queues_wait_without_a_quarantine(
    store: Store, redis_client: redis.Redis
) -> None:
    suspect(redis_client, "a")
    suspect(redis_client, "b")
    redis_client.hset(KEYS.policies, "a", "p")
    redis_client.set(KEYS.pause_all, "true")
    master = Master(2)
    master.watch.run(store)
    assert master.calls == 0
    redis_client.delete(KEYS.pause_all)
    master.watch.run(store)
    assert master.calls == 1, "those of b are not paused"


def test_a_queue_whose_suspects_are_gone_is_forgotten(
    store: Store, redis_client: redis.Redis
) -> None:
    redis_client.sadd(KEYS.suspects, "a", "c")
    master = Master(2)
    master.watch.run(store)
    assert master.calls == 0
    assert store.suspects.queues() == {"c"}, "another worker's"


@pytest.mark.parametrize(("beat", "left"), [(0.0, True), (-59.0, True), (-61.0, False)])
def test_at_the_end_of_a_master_they_stay_where_another_process_lives(
    store: Store, redis_client: redis.Redis, beat: float, left: bool
) -> None:
    suspect(redis_client, "a")
    other = "vm:1:a,x:1:1:1:20:1000"
    odd = "vm:1:a~b,!a~b:1:1:1:20:1000"  # no list: "a:b,!a~b" was one
    redis_client.zadd(KEYS.ledgers, dict.fromkeys((other, odd), 1000 * (store.now() + beat)))
    return_suspects(store, ["a"])
    assert bool(store.suspects.queues()) == left
    assert redis_client.llen(KEYS.queue("a")) == (0 if left else 1)
