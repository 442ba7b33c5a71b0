"""A unique job for tests, and what its locks and queues hold."""

from __future__ import annotations

import json
from typing import Any

import redis

import gresque
from gresque.jobs.ids import JobId
from gresque.jobs.unique import key_of, unique_rule
from gresque.store.store import Store

ran: list[Any] = []


@gresque.job("q", name="Unique.sync")
def sync(site: int, part: str = "all") -> None:
    ran.append((site, part))


def of_site(site: int, *_: Any, **__: Any) -> int:
    return site


def digest(**options: Any) -> str:
    rule = unique_rule("x", {"unique": "both", "unique_key": of_site, **options})
    assert rule is not None
    return key_of(rule, sync.definition, (7,), {}).digest


LOCK = f"resque:unique:{digest()}"
THROTTLE = f"resque:unique:{digest(unique=None, throttle=1)}"


def lock(redis_client: redis.Redis, key: str = LOCK) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in redis_client.hgetall(key).items()}


def args(raw: bytes | str) -> list[Any]:
    found: list[Any] = json.loads(raw)["args"]
    return found


def waiting(store: Store) -> list[tuple[str, list[Any]]]:
    return [(json.loads(raw)["id"], args(raw)) for raw in store.queues.peek("q", 0, 99)]


def delayed(store: Store) -> list[tuple[str, list[Any]]]:
    return [(job.member, args(job.raw)) for job in store.later.page(0, 99)]


class Enqueue:
    """Enqueues `sync(7, part)` by some options."""

    def __init__(self, client: gresque.Client, **options: Any) -> None:
        self._options = {"unique_key": of_site, **options}
        self._client = client

    def __call__(self, part: str, **more: Any) -> JobId:
        found = self._client.options(sync, **(self._options | more)).enqueue(7, part)
        assert found is not None
        return found


def start(store: Store, redis_client: redis.Redis) -> None:
    """Take the job and the payload in its lock, as a worker does (which has tests of its own)."""
    raw = redis_client.lpop("resque:queue:q") or redis_client.hvals("resque:later:jobs")[0]
    redis_client.delete("resque:later", "resque:later:jobs")
    if json.loads(raw[raw.index(b"{") :])["gresque"]["unique"][1] == "queued":
        redis_client.delete(LOCK)
    else:
        redis_client.hdel(LOCK, "replace", "payload")
