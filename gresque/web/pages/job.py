"""Job: one job by its id, wherever it is, with what it has been through."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from flask import Response

from gresque.client.results import Status, status_of
from gresque.failure.failed_list import FailedJob
from gresque.failure.failed_time import failed_seconds
from gresque.formats import span
from gresque.inspector.failed_search import FailedSearch
from gresque.inspector.filters import ID, Filter, Term, WantedFailed
from gresque.inspector.job_places import MOST_LOOKED_AT, find_delayed, find_waiting
from gresque.inspector.running import RunningJob
from gresque.inspector.snapshot import Snapshot
from gresque.jobs.ids import enqueued_at
from gresque.jobs.label import job_label
from gresque.processes.short_names import short_process
from gresque.web.actions import by
from gresque.web.failures import reference
from gresque.web.kills import KilledRow
from gresque.web.pages.show import show
from gresque.web.running_jobs import running_with_ids
from gresque.web.site import site
from gresque.web.stacks import JobStack

WAIT_SECONDS = 0.1
LABEL_CHARS = 300


class Step(NamedTuple):
    """A step of the job's way; `at` in epoch seconds, None where that is not known."""

    at: float | None
    text: str
    kind: str = ""


@dataclass
class Found:
    """What is known of the job. `state` is a word: running, ended, waiting, delayed, retry, failed
    or gone; done or cancelled of a tracked job."""

    state: str = "gone"
    item: dict[str, Any] = field(default_factory=dict)
    queue: str = ""
    running: RunningJob | None = None
    stack: JobStack | None = None
    killed: KilledRow | None = None
    failed: FailedJob | None = None
    status: Status | None = None
    """Of a tracked job."""
    is_searched: bool = False
    """Whether all failed jobs were looked at."""
    steps: list[Step] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.item.get("class") or (self.status and self.status.job_class) or "")

    @property
    def label(self) -> str:
        name = self.item.get("class")
        return job_label(self.item, LABEL_CHARS)[len(str(name)) :] if name else ""

    @property
    def payload(self) -> str:
        return json.dumps(self.item, indent=2, ensure_ascii=False) if self.item else ""

    @property
    def progress(self) -> str:
        found = self.status.progress if self.status is not None else None
        if found is None:
            return ""
        of = "" if found.total is None else f" of {found.total:,}"
        return f"{found.done:,}{of}{f', {found.note}' if found.note else ''}"

    @property
    def result(self) -> str:
        """What it returned, as JSON; empty where that is not known."""
        status = self.status
        is_done = status is not None and status.state == "done"
        return status.value.decode() if status is not None and is_done else ""

    @property
    def reference(self) -> str:
        return reference(self.failed) if self.failed is not None else ""


def page(job_id: str) -> Response:
    snapshot, found = site().collector.last(), find_job(job_id)
    search = _search(job_id)
    return show(
        "job",
        number=f"{snapshot.number}-{site().kills.version}-{search.looked_at}",
        every=1 if found.running is not None else 5,
        job_id=job_id,
        found=found,
        search=search,
        looked_at=MOST_LOOKED_AT,
        at=snapshot.at,
    )


def _search(job_id: str) -> FailedSearch:
    return site().failures.searches.of(WantedFailed(filter=Filter((Term(ID, job_id),))))


def find_job(job_id: str) -> Found:
    """A job by its id, wherever it is. Raises redis-py's errors, and RedisUnavailable."""
    here, found = site(), Found()
    snapshot, search = here.collector.last(), _search(job_id)
    start = enqueued_at(job_id)
    if start is not None:
        found.steps.append(Step(start, "enqueued"))
    found.killed = here.kills.recent().get(job_id)
    jobs = running_with_ids([job_id])
    if jobs:
        _note_running(found, jobs[0], snapshot, start)
    elif not _note_later(found, job_id, snapshot):
        _note_failed(found, search, job_id)
    if found.killed is not None:
        if not found.item:
            found.item, found.queue = found.killed.job.item, found.killed.job.queue
            found.state = "ended"
        kind = "bad" if found.killed.is_over else "late"
        found.steps.append(Step(found.killed.changed_at, found.killed.text, kind))
    found.is_searched = search.is_over
    _note_tracked(found, job_id)
    return found


def _note_running(
    found: Found, job: RunningJob, snapshot: Snapshot, enqueued: float | None
) -> None:
    found.state, found.running = "running", job
    found.item, found.queue = job.item, job.queue
    found.stack = site().stacks.of(job, by())
    waited = ""
    if enqueued is not None and job.since is not None and job.since >= enqueued:
        waited = f", after {span(job.since - enqueued)} in {job.queue}"
    found.steps.append(Step(job.since, f"taken by {short_process(job.process)}{waited}"))
    if job.blocks_seconds is not None:
        since = snapshot.at - job.blocks_seconds
        found.steps.append(Step(since, "holds the CPU; the others of its process wait", "bad"))
    else:
        found.steps.append(Step(None, f"runs for {span(job.seconds)}", "ok"))


def _note_later(found: Found, job_id: str, snapshot: Snapshot) -> bool:
    """Whether it waits for its time, or in a queue."""
    store = site().store
    delayed = find_delayed(store, job_id)
    if delayed is not None:
        found.state = "delayed" if delayed.attempt is None else "retry"
        found.item, found.queue = delayed.shown, delayed.queue or ""
        what = "is due" if delayed.attempt is None else f"has attempt {delayed.attempt}"
        found.steps.append(Step(delayed.due.timestamp(), f"{what} at that time", "still"))
        return True
    place = find_waiting(store, job_id, snapshot.look.counts.waiting)
    if place is None:
        return False
    found.state, found.item, found.queue = "waiting", place.item, place.queue
    ahead = f"{place.position:,} before it" if place.position else "the next one"
    found.steps.append(Step(None, f"waits in {place.queue}, {ahead}"))
    return True


def _note_tracked(found: Found, job_id: str) -> None:
    """What is known of a tracked job, also when it stands nowhere any more."""
    known = site().store.tracks.read([job_id])[0]
    if known is None:
        return
    status = found.status = status_of(job_id, known)
    if found.state == "gone" and status.is_over:
        found.state, found.queue = status.state, status.queue or ""
        if status.started_at is not None:
            found.steps.append(Step(status.started_at, f"began, attempt {status.attempt}"))
        kind = "bad" if status.state == "failed" else "ok"
        found.steps.append(Step(status.ended_at, status.state, kind))


def _note_failed(found: Found, search: FailedSearch, job_id: str) -> None:
    """As it failed last; the list may have it more than once."""
    failures = search.wait(0, WAIT_SECONDS)
    for job in reversed(failures):
        if job.job_id == job_id:
            found.state, found.failed = "failed", job
            found.item, found.queue = job.item, job.text("queue")
            at = failed_seconds(job.text("failed_at"))
            found.steps.append(Step(at, f"failed: {job.text('exception')}", "bad"))
            if job.retried:
                found.steps.append(Step(None, "was retried since", "still"))
