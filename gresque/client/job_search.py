"""Looking for one job where it may be: in flight, in `later`, in a queue, among the failed ones.
Bounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import nlargest
from typing import TYPE_CHECKING, Any

import msgspec

from gresque.client.delayed import DelayedJob, DelayedJobs
from gresque.client.results import Status
from gresque.jobs import payload
from gresque.jobs.attempts import attempt_of
from gresque.jobs.envelope import UNREADABLE, members_of
from gresque.jobs.ids import enqueued_at
from gresque.text import counted, decoded, encoded

if TYPE_CHECKING:
    from gresque.store.processes import Held
    from gresque.store.store import Store

MOST_LOOKED_AT = 10_000
"""Waiting jobs, over all queues: those that are next. And failed ones: the last of them."""
PAGE = 1_000


@dataclass(frozen=True)
class WaitingPlace:
    """A job in a queue; the next one stands at position 0."""

    queue: str
    position: int
    item: dict[str, Any]


@dataclass
class Search:
    """What a search has found: `status`, and where. `looked_at` counts the waiting and the failed
    jobs that it has read; it is cut where there are more."""

    status: Status
    item: dict[str, Any] = field(default_factory=dict)
    held: Held | None = None
    delayed: DelayedJob | None = None
    place: WaitingPlace | None = None
    failed: dict[str, Any] | None = None
    """The entry of its failure."""
    looked_at: int = 0
    is_cut: bool = False


def search_job(store: Store, job_id: str, failed_lists: tuple[str, ...] = ()) -> Search:
    """Look for a job. Raises redis-py's errors. `failed_lists` are keys, by default of all lists
    of failed jobs."""
    found = Search(Status(job_id, "unknown", enqueued_at=enqueued_at(job_id)))
    if _is_held(store, found) or _is_delayed(store, found) or _is_waiting(store, found):
        return found
    if _has_failed(store, found, failed_lists or _failed_lists(store)):
        return found
    looked = (
        "looked at all jobs in flight and delayed, and at "
        f"{counted(found.looked_at, 'waiting or failed job')}"
    )
    more = "; there are more, so it may be among those" if found.is_cut else ""
    found.status = Status(
        job_id, "unknown", enqueued_at=enqueued_at(job_id), note=f"{looked}{more}"
    )
    return found


def _is_held(store: Store, found: Search) -> bool:
    job_id = found.status.id
    for held in store.processes.find_held(store.processes.ids(), job_id):
        raw, key = held.entry.raw, decoded(held.entry.queue_key)
        if payload.id_of(raw) == job_id:
            found.held = held
            _note(found, "running", raw, store.keys.queue_of(key) or key, worker=held.process)
            return True
    return False


def _is_delayed(store: Store, found: Search) -> bool:
    delayed = found.delayed = DelayedJobs(store).find(found.status.id)
    if delayed is not None:
        state = "later" if delayed.attempt is None else "retrying"
        _note(found, state, delayed.raw, delayed.queue or "")
    return delayed is not None


def _is_waiting(store: Store, found: Search) -> bool:
    waiting = {queue: store.queues.size(queue) for queue in store.queues.names()}
    place = found.place = find_waiting(store, found.status.id, waiting)
    total = sum(waiting.values())
    found.looked_at += min(total, MOST_LOOKED_AT)
    found.is_cut |= total > MOST_LOOKED_AT
    if place is not None:
        found.item = place.item
        found.status = _status(found.status, "queued", place.item, place.queue)
    return place is not None


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


def _failed_lists(store: Store) -> tuple[str, ...]:
    keys = store.keys
    return (keys.failed, *map(keys.failed_list, store.failed.names()))


def _has_failed(store: Store, found: Search, lists: tuple[str, ...]) -> bool:
    wanted, left = encoded(found.status.id), MOST_LOOKED_AT
    for key in lists:
        total = store.failed.count(key)
        end = total
        while end > 0 and left > 0:
            size = min(PAGE, end, left)
            for raw in reversed(store.failed.page(key, end - size, size)):
                if wanted in raw and _is_entry_of(raw, found):
                    return True
            end, left = end - size, left - size
            found.looked_at += size
        found.is_cut |= end > 0
    return False


def _is_entry_of(raw: bytes, found: Search) -> bool:
    try:
        entry = msgspec.json.decode(raw)
    except UNREADABLE:
        return False
    item = entry.get("payload") if isinstance(entry, dict) else None
    if not isinstance(item, dict) or item.get("id") != found.status.id:
        return False
    found.failed = entry
    found.item = payload.for_display(item)
    name, message = str(entry.get("exception") or ""), str(entry.get("error") or "")
    lines = entry.get("backtrace")
    found.status = _status(
        found.status,
        "failed",
        found.item,
        str(entry.get("queue") or ""),
        worker=str(entry.get("worker") or "") or None,
        error=f"{name}: {message}" if message else name,
        traceback="\n".join(map(str, lines)) if isinstance(lines, list) else None,
    )
    return True


def _note(found: Search, state: str, raw: bytes, queue: str, worker: str | None = None) -> None:
    found.item = payload.loads(raw)
    attempt = attempt_of(members_of(raw))
    found.status = _status(found.status, state, found.item, queue, worker=worker, attempt=attempt)


def _status(known: Status, state: str, item: Mapping[str, Any], queue: str, **more: Any) -> Status:
    name = item.get("class")
    job_class = name if isinstance(name, str) else None
    if "attempt" not in more:
        envelope = item.get("gresque")
        attempt = envelope.get("attempt") if isinstance(envelope, dict) else None
        more["attempt"] = attempt if isinstance(attempt, int) else 1
    return Status(
        known.id, state, queue=queue or None, job_class=job_class, enqueued_at=known.enqueued_at,
        **more,
    )  # fmt: skip
