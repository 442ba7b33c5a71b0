"""Pausing and limiting queues, and ending that. A change holds in all workers from their next
reservation on."""

from __future__ import annotations

import logging

from gresque.control.audit import acting
from gresque.logs import fields
from gresque.store.policies import CAP as CAP
from gresque.store.policies import RATE as RATE
from gresque.store.policies import Change
from gresque.store.policies import Rate as Rate
from gresque.store.policies import checked_cap as checked_cap
from gresque.store.policies import checked_queue as checked_queue
from gresque.store.store import Store
from gresque.text import printable

log = logging.getLogger("gresque.control")


def pause(store: Store, queue: str, *, by: str) -> bool:
    """False when the queue was paused already."""
    with acting(store, by, "pause", f"queue {queue}") as act:
        changed = act.changed(store.policies.pause(queue), "was paused already")
    if changed:
        store.metrics.mark("pause", f"queue {queue}", by)
        log.info(
            "%s paused queue %s", by, printable(queue),
            extra=fields("queue_paused", by=by, queue=queue),
        )  # fmt: skip
    return changed


def unpause(store: Store, queue: str, *, by: str) -> bool:
    """False when the queue was not paused."""
    with acting(store, by, "unpause", f"queue {queue}") as act:
        changed = act.changed(store.policies.unpause(queue), "was not paused")
    if changed:
        store.metrics.mark("unpause", f"queue {queue}", by)
        log.info(
            "%s unpaused queue %s", by, printable(queue),
            extra=fields("queue_unpaused", by=by, queue=queue),
        )  # fmt: skip
    return changed


def pause_all(store: Store, *, by: str) -> bool:
    """False when all queues were paused already."""
    with acting(store, by, "pause", "all queues") as act:
        changed = act.changed(store.policies.pause_all(), "were paused already")
    if changed:
        store.metrics.mark("pause", "all queues", by)
        log.info("%s paused all queues", by, extra=fields("all_queues_paused", by=by))
    return changed


def unpause_all(store: Store, *, by: str) -> bool:
    """False when all queues were not paused. A queue that is paused by name stays paused."""
    with acting(store, by, "unpause", "all queues") as act:
        changed = act.changed(store.policies.unpause_all(), "were not paused")
    if changed:
        store.metrics.mark("unpause", "all queues", by)
        log.info("%s unpaused all queues", by, extra=fields("all_queues_unpaused", by=by))
    return changed


def limit(
    store: Store, queue: str, cap: int | None, rate: Rate | None, *, drop: str = "", by: str
) -> Change:
    """Give the queue this cap, this rate or both, and remove the limits whose letters (CAP, RATE)
    are in `drop`. Other limits stay as they are."""
    with acting(store, by, "limit", f"queue {queue}") as act:
        change = store.policies.limit(queue, cap=cap, rate=rate, drop=drop)
        act.count, act.outcome = 1, f"{change.after}; before: {change.before}"
    log.info(
        "%s set the limits of queue %s: %s", by, printable(queue), change.after,
        extra=fields("queue_limited", by=by, queue=queue, policy=str(change.after)),
    )  # fmt: skip
    return change
