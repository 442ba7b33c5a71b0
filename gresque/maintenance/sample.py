"""Looking how much waits in each queue, and for how long."""

from __future__ import annotations

import time

from gresque.jobs.waiting import waits_since
from gresque.maintenance.lease import Lease
from gresque.maintenance.task import NEVER, Interval
from gresque.store.metrics import Head
from gresque.store.store import Store

SAMPLE_SECONDS = 10.0
MOST_LOGS = 10_000
"""Failed jobs of which is kept what they logged."""
MOST_QUEUES = 1000
"""Of more queues those are noted in which most jobs wait."""


class SampleQueues:
    """Under the lease. A job of gresque's says itself since when it waits. Of another program's it
    is noted since when it is the next one of its queue: it has waited for at least this time."""

    name = "sample queues"

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._interval = Interval(SAMPLE_SECONDS)
        self._written: tuple[int, dict[str, str]] | None = None
        """The minute of the last depths that were written, and these."""

    def due(self, now: float) -> float:
        return self._interval.left(now) if self._lease.held else NEVER

    def run(self, store: Store) -> None:
        self._interval.begin(time.monotonic())
        store.metrics.trim_logs(MOST_LOGS)
        names = store.queues.names()
        if not names:
            return
        now = time.time()  # by the clock of a program each job has its time, too
        heads = sorted(store.metrics.heads(names), key=lambda head: -head.depth)[:MOST_QUEUES]
        since = {head.queue: waits_since(head.item) for head in heads}
        foreign = {head.queue: head for head in heads if since[head.queue] is None}
        seen = self._seen_since(store, foreign, now)
        depths = dict(_entry(head, now, since, seen) for head in heads)
        minute = int(now) // 60
        if depths or self._written != (minute, depths):
            store.metrics.write_depths(now, depths)
            self._written = minute, depths

    def _seen_since(self, store: Store, foreign: dict[str, Head], now: float) -> dict[str, float]:
        known = store.metrics.known_heads()
        if not foreign and not known:
            return {}
        seen = {}
        for queue, head in foreign.items():
            digits, since = known.get(queue, ("", now))
            seen[queue] = since if digits == head.digits else now
        store.metrics.write_heads({q: (foreign[q].digits, seen[q]) for q in seen}, known)
        return seen


def _entry(
    head: Head, now: float, since: dict[str, float | None], seen: dict[str, float]
) -> tuple[str, str]:
    """Queue and text, as `inspector.metrics` reads it."""
    known = since[head.queue]
    age = max(now - (seen[head.queue] if known is None else known), 0.0)
    return head.queue, f"{head.depth} {int(age * 1000)}{'+' if known is None else ''}"
