"""All that is known of one job, wherever it is: tracked, in flight, waiting, failed."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import msgspec

from gresque.client.job_search import Search, search_job
from gresque.client.results import Status, status_of
from gresque.inspector.job_log import read_job_log
from gresque.inspector.running import RunningJob, parse_running, read_slots
from gresque.store.store import Store
from gresque.text import decoded


@dataclass(frozen=True)
class OneJob:
    """A job. `status` is what is known of a tracked job, else what a search has found."""

    status: Status
    is_tracked: bool
    search: Search
    running: RunningJob | None
    """Where a process holds it."""
    log: list[str]
    """The last lines that it logged before it failed; lines of a successful job are not kept."""

    @property
    def is_known(self) -> bool:
        return self.status.state != "unknown"

    @property
    def item(self) -> dict[str, Any]:
        """Its payload; empty where it is not kept any more."""
        return self.search.item

    @property
    def result(self) -> Any:
        """What it returned; None also where that is not known."""
        return msgspec.json.decode(self.status.value)


def find_job(store: Store, job_id: str) -> OneJob:
    """Look at a job from all sides: its state, if it is tracked, and its place. In a few round
    trips, more where it does not run. Raises redis-py's errors."""
    known, search = store.tracks.read([job_id])[0], search_job(store, job_id)
    status = search.status if known is None else status_of(job_id, known)
    log = read_job_log(store, job_id) if status.state in ("failed", "unknown") else []
    return OneJob(status, known is not None, search, _running(store, search), log)


def _running(store: Store, search: Search) -> RunningJob | None:
    held = search.held
    if held is None:
        return None
    keys, reads = store.keys, store.reads()
    now = reads.now()
    published = reads.texts([keys.running(held.process), keys.waits(held.process)])
    reads.run()
    slots: defaultdict[str, list[str]] = defaultdict(list)
    slots[held.process].append(decoded(held.slot))
    running = {held.process: parse_running(*published.value)}
    return next(iter(read_slots(store, slots, running, now.value)), None)
