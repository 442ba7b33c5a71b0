"""Worker processes as they stand in Redis, and a clock, for tests of those that look at them."""

from __future__ import annotations

from collections.abc import Iterable

import redis

from gresque.connection.scripts import script
from gresque.store.keys import Keys

KEYS = Keys("resque")
WORKER = "host:1:q:1:1:1"
ME = f"{WORKER}:10:1000"
OTHER = "elsewhere:1:q:1:1:1"
SILENT, BACK = f"{OTHER}:20:1000", f"{OTHER}:21:1000"


class Clock:
    """The monotonic clock of this machine."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    time = monotonic


def register(client: redis.Redis, *processes: str) -> None:
    """Each of them holds one job, in slot 0."""
    now = int(client.time()[0]) * 1000
    for process in processes:
        worker = process.rsplit(":", 2)[0]
        client.eval(
            script("register").text, 7, KEYS.workers, KEYS.worker_started(worker), KEYS.ledgers,
            KEYS.ledger(process), KEYS.heartbeats, KEYS.processes, KEYS.masters, worker, "then",
            process, "2026-01-01T00:00:00+00:00", now, "1 0 0 0 0", "",
        )  # fmt: skip
        client.hset(KEYS.ledger(process), "0", "14:resque:queue:q" + process)


def processes(client: redis.Redis) -> set[str]:
    """Those that have a ledger."""
    return {name.decode() for name in client.zrange(KEYS.ledgers, 0, -1)}


def beat(client: redis.Redis, of: Iterable[str]) -> None:
    for process in of:
        client.zincrby(KEYS.ledgers, 1, process)
