"""A dead process that held jobs, its recovery, and where they are after it."""

from __future__ import annotations

import json
from typing import Any

import redis

from gresque.jobs.definition import JobDefinition
from gresque.jobs.registry import Registry
from gresque.processes.spec import DeadProcess
from gresque.store.keys import Keys
from gresque.store.store import Store
from gresque.worker.recovery import Recovery

Redis = redis.Redis
WORKER = "vm:1:q:1:1:1"
PROCESS = f"{WORKER}:22:1764000000000"
DEAD = DeadProcess(PROCESS, "it was killed by SIGKILL", None, blameless=True)
LEDGER = f"resque:ledger:{PROCESS}"


def recovery(store: Store, on_dirty_exit: str = "requeue") -> Recovery:
    registry = Registry()
    for name, wish, skip in (
        ("plain", None, False), ("fails", "fail", False), ("returns", "requeue", False),
        ("quiet", "fail", True),
    ):  # fmt: skip
        registry.add(JobDefinition(name, "q", print, on_dirty_exit=wish, skip_failed_queue=skip))
    return Recovery(store, registry, on_dirty_exit, max_recoveries=3)


def item(name: str = "plain", *args: Any) -> bytes:
    return json.dumps({"class": name, "args": args}).encode()


def hold(client: Redis, *raws: bytes, queue: str = "q", state: str = "9 0 0 0 0 0") -> None:
    """A dead process that holds these jobs."""
    key = f"resque:queue:{queue}".encode()
    fields = {str(slot): b"%d:%s%s" % (len(key), key, raw) for slot, raw in enumerate(raws)}
    client.hset(LEDGER, mapping={"state": state, **fields})  # type: ignore[dict-item]
    client.zadd("resque:ledgers", {PROCESS: 1})
    client.sadd("resque:queues", queue)


def queue(client: Redis, name: str = "q") -> list[bytes]:
    """The jobs that wait in it, suspects included."""
    places = Keys("resque").places(name)
    return [raw for place in places for raw in client.lrange(place, 0, -1)]


def failed(client: Redis) -> list[dict[str, Any]]:
    return [json.loads(entry) for entry in client.lrange("resque:failed", 0, -1)]


def gone(client: Redis) -> bool:
    return not client.exists(LEDGER, "resque:ledgers", f"resque:running:{PROCESS}")
