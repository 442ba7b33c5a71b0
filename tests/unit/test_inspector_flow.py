"""What is paused or limited, by all workers and by single ones."""

from __future__ import annotations

import redis

from gresque.inspector.flow import Flow, Served, Serving, WorkerCap
from gresque.processes.vitals import Vitals
from gresque.store.store import Store
from tests.support.views import process, wait

WORKER = "vm:10:mail,mail-*,!mail-x:2:4:100"


def vitals(client: redis.Redis, process_id: str, queues: str) -> None:
    found = Vitals("ready", 0, 0, 0.0, 1, queues, "0.1.0")
    client.hset("resque:vitals", process_id, found.encode())


def test_nothing(store: Store) -> None:
    assert Flow.read(store) == Flow(False, (), {}, ())


def test_queues(store: Store, redis_client: redis.Redis) -> None:
    store.policies.pause("mail")
    store.policies.limit("low", cap=2)
    store.policies.pause_all()
    wait(redis_client, "mail", b"{}", b"{}")
    redis_client.rpush("resque:suspects:1:mail", "{}")
    found = Flow.read(store)
    assert found.all_paused
    assert [each.queue for each in found.queues] == ["low", "mail"]
    assert found.waiting == {"low": 0, "mail": 3}
    assert found.as_dict()["queues"][1]["waiting"] == 3


def test_caps_of_single_workers(store: Store, redis_client: redis.Redis) -> None:
    for number, queues in enumerate(["mail:5,mail-*:50%,!mail-x"] * 2):
        vitals(redis_client, f"{WORKER}:{number}:1", queues)
    vitals(redis_client, "vm:11:a~b:1:1:1:12:1", r"a:b")
    vitals(redis_client, "odd", "mail:5")
    vitals(redis_client, "vm:13:x:1:1:1:14:1", "x:0")
    redis_client.hset("resque:vitals", "vm:14:x:1:1:1:14:1", "{")
    redis_client.sadd("resque:queues", "mail-a", "mail-x", "other")
    redis_client.hset(f"resque:inflight:{WORKER}", mapping={"mail": 3, "odd": "x"})
    assert Flow.read(store).workers == (
        WorkerCap(WORKER, "mail", 5, 3),
        WorkerCap(WORKER, "mail-a", 4, 0),
    )


def test_who_serves_a_queue(store: Store, redis_client: redis.Redis) -> None:
    wait(redis_client, "mail", b"{}")
    process(redis_client)  # mail, bulk
    found = {each.queue: each for each in Serving.read(store, ["mail", "bulk", "other"]).queues}
    assert found["mail"] == Served("mail", 1, True, True)
    assert found["bulk"] == Served("bulk", 0, True, False)
    assert found["other"] == Served("other", 0, False, False)


def test_a_worker_that_is_silent_serves_nothing(store: Store, redis_client: redis.Redis) -> None:
    process(redis_client, beat_age=100)
    redis_client.sadd("resque:workers", "ruby:1:low~5")
    found = [each.is_served for each in Serving.read(store, ["mail", "low"]).queues]
    assert found == [False, True]
