"""Where one job stands that does not run: in a queue, or until its time. Bounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from heapq import nlargest
from typing import Any

from gresque.client.delayed import DelayedJob, DelayedJobs
from gresque.jobs import payload
from gresque.store.store import Store
from gresque.text import encoded

MOST_LOOKED_AT = 10_000
"""Waiting jobs, over all queues: those that are next."""
PAGE = 1_000


@dataclass(frozen=True)
class WaitingPlace:
    """A job in a queue; the next one stands at position 0."""

    queue: str
    position: int
    item: dict[str, Any]


def find_delayed(store: Store, job_id: str) -> DelayedJob | None:
    return DelayedJobs(store).find(job_id)


def find_waiting(store: Store, job_id: str, waiting: Mapping[str, int]) -> WaitingPlace | None:
    """Look for it in the queues of `waiting`, with how many wait in each: the longest first, and in
    each among the next ones. None where it is not among MOST_LOOKED_AT."""
    left, wanted = MOST_LOOKED_AT, encoded(job_id)
    for queue in nlargest(len(waiting), waiting, key=waiting.__getitem__):
        for start in range(0, min(waiting[queue], left), PAGE):
            for number, raw in enumerate(store.queues.peek(queue, start, PAGE), start):
                if wanted in raw and (item := payload.loads(raw)).get("id") == job_id:
                    return WaitingPlace(queue, number, item)
        left -= waiting[queue]
        if left <= 0:
            return None
    return None
