"""Jobs for tests of the client, and what they leave in Redis."""

from __future__ import annotations

import json
from typing import Any

import redis

import gresque

Redis = redis.Redis
calls: list[Any] = []


@gresque.job("bench", name="Noop")
def noop(*args: Any, **kwargs: Any) -> None:
    calls.append((args, kwargs))


class Hooked(gresque.Job):
    queue = "hooked"
    name = "Hooked"

    def perform(*args: Any, **kwargs: Any) -> None:
        calls.append("perform")

    def before_enqueue_1(answer: Any, **kwargs: Any) -> Any:
        calls.append("before 1")
        return answer

    def before_enqueue_2(answer: Any, **kwargs: Any) -> None:
        calls.append("before 2")

    def after_enqueue(answer: Any, **kwargs: Any) -> None:
        calls.append("after")

    def before_dequeue(answer: Any = None, **kwargs: Any) -> Any:
        calls.append("before dequeue")
        return answer

    def after_dequeue(answer: Any = None, **kwargs: Any) -> None:
        calls.append("after dequeue")


def items(redis_client: Redis, queue: str = "bench") -> list[dict[str, Any]]:
    return [json.loads(raw) for raw in redis_client.lrange(f"resque:queue:{queue}", 0, -1)]


def resque_keys(redis_client: Redis) -> set[str]:
    """All keys but our own, which must expire by themselves."""
    keys = {key.decode() for key in redis_client.scan_iter()}
    ours = {key for key in keys if "producer:" in key}
    assert all(0 < redis_client.ttl(key) <= 132 for key in ours)
    return keys - ours
