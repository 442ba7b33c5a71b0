"""Workers of other programs that work in the same namespace: Ruby's, Node's, PHP's. They are shown
and never judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from gresque.store.keys import Keys
from gresque.store.reads import Reads
from gresque.store.workers import pinging

RUBY_PRUNES_SECONDS = 300.0
"""Ruby's workers beat every 60 s, and take one for dead that has not beaten for this long."""


def host_of(worker_id: str) -> str:
    """The name of its host: `host:pid:queues`, in every Resque."""
    return worker_id.partition(":")[0]


def queues_of_other(worker_id: str) -> str:
    """The queue list in its id; empty where there is none."""
    return worker_id.split(":", 2)[2] if worker_id.count(":") >= 2 else ""


class OtherWorker(NamedTuple):
    """One of them; its age is None where it gives no heartbeat."""

    id: str
    heartbeat_age_seconds: float | None

    @property
    def host(self) -> str:
        return host_of(self.id)

    @property
    def queues(self) -> str:
        return queues_of_other(self.id)

    @property
    def seems_dead(self) -> bool:
        """As Ruby would say."""
        age = self.heartbeat_age_seconds
        return age is not None and age >= RUBY_PRUNES_SECONDS


class OtherReads:
    """The reads of these workers: how many jobs they say they run, and Node's heartbeats, which
    stand apart from Ruby's."""

    def __init__(self, reads: Reads, keys: Keys, ids: Sequence[str]) -> None:
        self._ids = ids
        self._jobs = reads.texts([keys.worker_job(each) for each in ids])
        self._threads = [reads.number("SCARD", keys.worker_threads(each)) for each in ids]
        self._pings = reads.texts([keys.worker_ping(pinging(each)) for each in ids])

    def running(self) -> dict[str, int]:
        """Of each of them."""
        return {
            worker: (job is not None) + threads.value
            for worker, job, threads in zip(self._ids, self._jobs.value, self._threads, strict=True)
        }

    def pings(self) -> dict[str, float | None]:
        """The heartbeat of each of them in epoch seconds; None for one that does not ping."""
        return dict(zip(self._ids, map(ping_time, self._pings.value), strict=True))


def ping_time(raw: bytes | None) -> float | None:
    """Epoch seconds of a heartbeat of Node's; None for what is none."""
    try:
        found: Any = msgspec.json.decode(raw or b"")["time"]
        return float(found)
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError, ValueError):
        return None
