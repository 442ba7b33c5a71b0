"""What is wrong with the Redis server, by its own numbers."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from gresque.inspector.findings.server import server
from gresque.store.policies import Rate
from gresque.store.store import Store
from tests.support.server import OwnServer
from tests.support.views import view

MB = 1024 * 1024


@pytest.mark.parametrize(
    ("info", "found"),
    [
        ({}, []),
        ({"role": "master", "rdb_last_bgsave_status": "ok", "maxmemory": 0}, []),
        ({"maxmemory": 100 * MB, "used_memory": 50 * MB, "maxmemory_policy": "noeviction"}, []),
        ({"maxmemory": 100 * MB, "used_memory": 50 * MB, "maxmemory_policy": "volatile-lru"}, []),
        (
            {"maxmemory": 100 * MB, "used_memory": 50 * MB, "maxmemory_policy": "allkeys-lru"},
            ["warning: Redis throws queues and jobs away when it is full"],
        ),
        (
            {"maxmemory": 100 * MB, "used_memory": 80 * MB, "maxmemory_policy": "noeviction"},
            ["warning: Redis has taken 80% of its 100 MB: it then refuses jobs"],
        ),
        (
            {"maxmemory": 100 * MB, "used_memory": 95 * MB, "maxmemory_policy": "allkeys-lfu"},
            ["broken: Redis has taken 95% of its 100 MB: it then throws jobs away (allkeys-lfu)"],
        ),
        ({"role": "slave"}, ["broken: Redis is a replica"]),
        ({"rdb_last_bgsave_status": "err"}, ["broken: Redis could not save its data"]),
        ({"aof_last_write_status": "err"}, ["broken: Redis could not write its append-only file"]),
    ],
    ids=lambda value: ",".join(map(str, value)) if isinstance(value, dict) else "",
)
def test_what_its_numbers_say(store: Store, info: dict[str, Any], found: list[str]) -> None:
    said = [f"{each.level}: {each.message}" for each in server(view(store, server=info))]
    assert len(said) == len(found)
    assert all(map(str.startswith, said, found))


def test_a_server_that_is_full(own: OwnServer) -> None:
    with_jobs = Store(own.url, "resque")
    own.redis.set("much", "x" * 9_000_000)
    own.redis.config_set("maxmemory", "10mb")
    (finding,) = server(view(with_jobs))
    assert finding.kind == "memory"
    with_jobs.close()


def test_a_user_who_may_not_ask(own: OwnServer) -> None:
    own.redis.execute_command("ACL", "SETUSER", "plain", "on", "nopass", "~*", "+@all", "-info")
    plain = Store(own.url.replace("unix://", "unix://plain:x@"), "resque")
    assert list(server(view(plain))) == []
    plain.close()


@pytest.mark.parametrize(
    ("key", "consequence"),
    [
        ("policies", "no queue is paused or limited: "),
        ("pause-all-workers", "no pause of all queues holds: "),
        ("inflight", "no worker takes a job of a queue with a cap: "),
        ("rates", "no worker takes a job of a queue with a rate: "),
    ],
)
def test_a_key_of_another_program(
    store: Store, redis_client: redis.Redis, key: str, consequence: str
) -> None:
    for name in ("inflight", "rates"):
        redis_client.rpush(f"resque:{name}", "x")
    assert list(server(view(store))) == [], "no queue is limited: nobody reads them"
    redis_client.delete("resque:inflight", "resque:rates")
    store.policies.limit("mail", cap=5, rate=Rate(5, 1_000, 1))
    redis_client.delete(f"resque:{key}")
    redis_client.rpush(f"resque:{key}", "x")
    (finding,) = server(view(store))
    assert finding.is_broken
    assert finding.message.startswith(f"{consequence}resque:{key} is not a ")
    assert finding.commands == (f"redis-cli rename resque:{key} resque:{key}.foreign",)
