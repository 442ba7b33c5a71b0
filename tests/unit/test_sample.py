"""How much waits in each queue, and for how long: the looks of the maintenance process."""

from __future__ import annotations

import time

import pytest
import redis

from gresque.inspector.metrics import MetricsReader
from gresque.jobs.ids import new_id
from gresque.maintenance.lease import Lease
from gresque.maintenance.sample import SAMPLE_SECONDS, SampleQueues
from gresque.maintenance.task import NEVER
from gresque.store.store import Store


@pytest.fixture
def task() -> SampleQueues:
    lease = Lease("me")
    lease.held = True
    return SampleQueues(lease)


def push(client: redis.Redis, queue: str, *raws: str) -> None:
    client.sadd("resque:queues", queue)
    client.rpush(f"resque:queue:{queue}", *raws)


def test_it_runs_every_ten_seconds_where_the_lease_is(task: SampleQueues, store: Store) -> None:
    assert task.due(time.monotonic()) <= 0
    task.run(store)
    assert SAMPLE_SECONDS - 5 < task.due(time.monotonic()) <= SAMPLE_SECONDS
    assert SampleQueues(Lease("another")).due(time.monotonic()) == NEVER


def test_ages(task: SampleQueues, store: Store, redis_client: redis.Redis) -> None:
    old = f"{int((time.time() - 100) * 1000):012x}{new_id()[12:]}"
    item = '{"class":"A","args":[%s],"id":"%s","generation":1}'
    push(redis_client, "mail", item % ("", old), item % ("", new_id()))
    push(redis_client, "large", item % ('"' + "x" * 100_000 + '"', old))
    push(redis_client, "ruby", '{"class":"A","args":[]}')
    push(redis_client, "huge", '{"class":"A","args":["' + "x" * 9_000 + '"]}')
    redis_client.sadd("resque:queues", "empty", "odd")
    redis_client.set("resque:queue:odd", "x")
    task.run(store)
    found = {name: depths[-1] for name, depths in MetricsReader(store).depths().items()}
    assert set(found) == {"mail", "large", "ruby", "huge"}
    assert [found[name].depth for name in ("mail", "large", "ruby")] == [2, 1, 1]
    for name in ("mail", "large"):
        assert 99 < (found[name].age_seconds or 0) < 130
        assert not found[name].at_least
    for name in ("ruby", "huge"):
        assert 0 <= (found[name].age_seconds or 0) < 30
        assert found[name].at_least
    for key in ("resque:heads", *redis_client.keys("resque:metrics:*")):
        assert 0 < redis_client.ttl(key) <= 30_000


def test_an_item_of_another_program_ages_at_the_head(
    task: SampleQueues, store: Store, redis_client: redis.Redis
) -> None:
    push(redis_client, "ruby", '{"class":"A","args":[1]}', '{"class":"A","args":[2]}')
    task.run(store)
    digits, since = store.metrics.known_heads()["ruby"]
    redis_client.hset("resque:heads", "ruby", f"{digits} {int((since - 50) * 1000)}")
    task.run(store)
    assert (MetricsReader(store).depths()["ruby"][-1].age_seconds or 0) >= 50
    redis_client.lpop("resque:queue:ruby")
    task.run(store)
    assert (MetricsReader(store).depths()["ruby"][-1].age_seconds or 0) < 50
    redis_client.delete("resque:queue:ruby")
    task.run(store)
    assert redis_client.hgetall("resque:heads") == {}


def test_nothing_is_written_where_nothing_changes(
    task: SampleQueues, store: Store, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_700_000_000.0)
    redis_client.sadd("resque:queues", "mail")
    task.run(store)
    (key,) = redis_client.keys("resque:metrics:*")
    redis_client.delete(key)
    task.run(store)
    assert not redis_client.keys("resque:metrics:*")
