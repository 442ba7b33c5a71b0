"""Views of a Redis that tests fill, for findings."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import redis

from gresque.clock import iso_8601, retried_at
from gresque.failure.entry import encode_entry
from gresque.inspector.findings.finding import Finding
from gresque.inspector.findings.view import View
from gresque.inspector.look import Look
from gresque.processes.vitals import Vitals
from gresque.store.commands import Blocking, Running
from gresque.store.store import Store

WORKER = "vm:10:mail,bulk:2:4:100"
PROCESS = f"{WORKER}:11:1795485960660"
OTHER = f"{WORKER}:12:1795485960661"


def view(store: Store, backend: str = "redis", server: Mapping[str, Any] | None = None) -> View:
    """What a second look finds; nothing has changed since the first."""
    look = Look.take(store, backend)
    if server is not None:
        look = replace(look, server=server)
    return View(store, backend, replace(look.counts, at=look.at - 1), look)


def grown(found: View, **waiting: int) -> View:
    """The same, with other numbers of waiting jobs a second before."""
    return replace(found, before=replace(found.before, waiting={**found.before.waiting, **waiting}))


def said(finding: Finding) -> str:
    """Its message; how many seconds a test has taken does not matter."""
    return re.sub(r"\b\d+(\.\d)? s\b", "N s", finding.message)


def clock(client: redis.Redis) -> float:
    seconds, microseconds = client.time()
    return float(seconds) + microseconds / 1_000_000


def job_id(age: float, number: int = 0) -> str:
    """The id of a job that was enqueued so many seconds ago by this machine's clock."""
    return f"{int((time.time() - age) * 1000):012x}7{number:03x}8{'0' * 15}"


def item(name: str, *args: object, age: float = 0.0, number: int = 0) -> bytes:
    return msgspec.json.encode(
        {"class": name, "args": list(args), "id": job_id(age, number), "generation": 1}
    )


def wait(client: redis.Redis, queue: str, *items: bytes) -> None:
    client.sadd("resque:queues", queue)
    client.rpush(f"resque:queue:{queue}", *items)


def process(
    client: redis.Redis,
    name: str = PROCESS,
    *items: bytes,
    beat_age: float = 1.0,
    runs: Mapping[str, float] | None = None,
    blocks: tuple[str, float] | None = None,
    state: str | None = "ready",
    lag: float = 0.0,
    still: float | None = None,
) -> None:
    """A worker process with its worker. `items` stand in slots 0, 1, …; `runs` is for how long the
    jobs in some slots have been running, `blocks` which one blocks the loop, and for how long;
    `still` for how long nothing of the process runs."""
    worker = name.rsplit(":", 2)[0]
    now = clock(client)
    client.sadd("resque:workers", worker)
    client.hset("resque:workers:heartbeat", worker, iso_8601(now - beat_age))
    client.zadd("resque:ledgers", {name: (now - beat_age) * 1000})
    key = "resque:queue:mail"
    slots = {
        str(slot): b"%d:%b%b" % (len(key), key.encode(), raw) for slot, raw in enumerate(items)
    }
    client.hset(f"resque:ledger:{name}", mapping={"state": f"1 {len(items)} 0 0 0 0", **slots})
    blocking = blocks and Blocking(blocks[0], now - blocks[1], ["jobs.py:7:in `spin'"])
    running = Running({slot: now - age for slot, age in (runs or {}).items()}, blocking)
    running.frozen = None if still is None else now - still
    if running:
        client.set(f"resque:running:{name}", running.encode())
    if state is not None:
        vitals = Vitals(state, len(items), len(items), lag, 1, "mail,bulk", "0.1.0", app="app")
        client.hset("resque:vitals", name, vitals.encode())


def fail(
    client: redis.Redis,
    name: str,
    count: int,
    age: float = 1.0,
    key: str = "resque:failed",
    exception: str = "ValueError",
    error: str = "no route\nto host",
) -> None:
    """Failures that are so many seconds old."""
    raw = encode_entry(item(name), exception, error, [], "w", "mail")
    entry = msgspec.json.decode(raw)
    entry["failed_at"] = retried_at(clock(client) - age) + " UTC"
    client.rpush(key, *[msgspec.json.encode(entry)] * count)
