"""One waiting job: moved and changed, or left as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis

from gresque.control.waiting import edit_one, move_one
from gresque.errors import GresqueError
from gresque.inspector.audit import read_audit
from gresque.store.store import Store

BY = "joe@vm"


def job(number: int, **more: Any) -> bytes:
    return json.dumps({"class": "A", "args": [number], "id": str(number)} | more).encode()


def waiting(client: redis.Redis, queue: str) -> list[bytes]:
    return client.lrange(f"resque:queue:{queue}", 0, -1)


def test_one_job_is_moved(store: Store, redis_client: redis.Redis) -> None:
    redis_client.rpush("resque:queue:a", job(1), job(2), job(2), job(3))
    redis_client.rpush("resque:queue:b", job(9))
    assert move_one(store, "a", job(2), "b", by=BY)
    assert waiting(redis_client, "a") == [job(1), job(2), job(3)]
    assert waiting(redis_client, "b") == [job(9), job(2)]
    assert redis_client.sismember("resque:queues", "b")
    assert not move_one(store, "a", job(7), "b", by=BY)
    assert waiting(redis_client, "b") == [job(9), job(2)]
    gone, moved = read_audit(store)
    assert (moved.verb, moved.target, moved.count) == ("queues move", "job 2 A of queue a to b", 1)
    assert gone.outcome == "it does not wait there any more, or has changed meanwhile"


def test_a_suspect_is_moved(store: Store, redis_client: redis.Redis) -> None:
    redis_client.rpush("resque:suspects:1:a", job(1))
    redis_client.sadd("resque:suspects", "a")
    assert move_one(store, "a", job(1), "b", by=BY)
    assert waiting(redis_client, "b") == [job(1)]
    assert not redis_client.exists("resque:suspects", "resque:suspects:1:a")


@pytest.mark.parametrize("target", ["", "a", "\udcff"])
def test_no_other_queue(store: Store, target: str) -> None:
    with pytest.raises(GresqueError, match="is not the name of another queue"):
        move_one(store, "a", job(1), target, by=BY)


def test_a_target_of_another_type_takes_nothing_away(
    store: Store, redis_client: redis.Redis
) -> None:
    redis_client.rpush("resque:queue:a", job(1))
    redis_client.set("resque:queue:b", "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        move_one(store, "a", job(1), "b", by=BY)
    assert waiting(redis_client, "a") == [job(1)]


def test_arguments_are_changed_and_the_rest_stays(store: Store, redis_client: redis.Redis) -> None:
    raw = job(1, other="field", gresque={"dirty_exit": "fail"})
    redis_client.rpush("resque:queue:a", raw, job(2))
    assert edit_one(store, "a", raw, ["x"], {"b": [1]}, by=BY)
    first, second = waiting(redis_client, "a")
    assert first == job(2)
    assert json.loads(second) == {
        **json.loads(raw), "args": ["x", {"b": [1], "_kwargs": True}],
    }  # fmt: skip
    assert not edit_one(store, "a", raw, ["y"], {}, by=BY)
    assert edit_one(store, "a", second, ["x"], {"b": [1]}, by=BY), "nothing to change"
    assert len(waiting(redis_client, "a")) == 2


@pytest.mark.parametrize(
    ("raw", "args", "said"),
    [
        (b"no job", [1], "the payload is not a job"),
        (job(1), [float("nan")], "which JSON cannot carry"),
        (job(1, gresque={"unique": ["digest", "both"]}), [1], "a unique job holds a lock"),
    ],
)
def test_what_cannot_be_changed_is_said(
    store: Store, redis_client: redis.Redis, raw: bytes, args: list[Any], said: str
) -> None:
    redis_client.rpush("resque:queue:a", raw)
    with pytest.raises(GresqueError, match=said):
        edit_one(store, "a", raw, args, {}, by=BY)
    assert waiting(redis_client, "a") == [raw]
