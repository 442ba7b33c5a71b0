"""The shards: what waits and runs on each, and the state of its server."""

from __future__ import annotations

import time
from dataclasses import dataclass

from gresque.connection.topology import found_at
from gresque.inspector.stats import read_summary_and_queues
from gresque.store.store import Store

SAMPLE_SECONDS = 0.3


@dataclass(frozen=True)
class ShardStatus:
    """What one shard says of itself. `cpu` is the server's share of a core, measured over
    SAMPLE_SECONDS; None where INFO is refused. `node` is `host:port` of its server where Sentinels
    or a Cluster name that one; else None."""

    role: str
    node: str | None
    waiting: int
    running: int
    later: int
    failed: int
    processes: int
    cpu: float | None
    memory_bytes: int | None

    @classmethod
    def read(cls, store: Store, failure_backend: str) -> ShardStatus:
        found, _ = read_summary_and_queues(store, failure_backend)
        first, began = _info(store), time.monotonic()
        time.sleep(SAMPLE_SECONDS)
        second, seconds = _info(store), time.monotonic() - began
        cpu = None
        if None not in (first.cpu, second.cpu):
            cpu = max((second.cpu or 0) - (first.cpu or 0), 0) / seconds
        return cls(
            role=second.role,
            node=found_at(store.server.url, store.keys.namespace) or None,
            waiting=found.pending,
            running=found.in_flight,
            later=found.delayed,
            failed=found.failed_list,
            processes=found.processes,
            cpu=cpu,
            memory_bytes=second.memory_bytes,
        )


@dataclass(frozen=True)
class _Info:
    role: str
    cpu: float | None
    memory_bytes: int | None


def _info(store: Store) -> _Info:
    reads = store.reads()
    asked = reads.info()
    reads.run()
    info = asked.value
    parts = [info.get("used_cpu_user"), info.get("used_cpu_sys")]
    seconds = [float(part) for part in parts if isinstance(part, int | float)]
    memory = info.get("used_memory")
    return _Info(
        str(info.get("role") or ""),
        sum(seconds) if len(seconds) == len(parts) else None,
        int(memory) if isinstance(memory, int | float) else None,
    )
