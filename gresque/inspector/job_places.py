"""Where one job stands that does not run: in a queue, or until its time. Bounded."""

from __future__ import annotations

from gresque.client.delayed import DelayedJob, DelayedJobs
from gresque.client.job_search import MOST_LOOKED_AT, WaitingPlace, find_waiting
from gresque.store.store import Store

__all__ = ["MOST_LOOKED_AT", "WaitingPlace", "find_delayed", "find_waiting"]


def find_delayed(store: Store, job_id: str) -> DelayedJob | None:
    return DelayedJobs(store).find(job_id)
