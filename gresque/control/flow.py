"""Pausing and limiting queues, and ending that. A change holds in all workers from their next
reservation on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from gresque.control.audit import acting
from gresque.logs import fields
from gresque.store.policies import CAP as CAP
from gresque.store.policies import RATE as RATE
from gresque.store.policies import Change as Change
from gresque.store.policies import Rate as Rate
from gresque.store.policies import checked_cap as checked_cap
from gresque.store.policies import checked_queue as checked_queue
from gresque.store.store import Store
from gresque.text import printable

log = logging.getLogger("gresque.control")


def pause(store: Store, queue: str, *, by: str) -> bool:
    """False when the queue was paused already."""
    return _switch(
        store, "pause", f"queue {queue}", lambda: store.policies.pause(queue),
        "was paused already", fields("queue_paused", by=by, queue=queue), by,
    )  # fmt: skip


def unpause(store: Store, queue: str, *, by: str) -> bool:
    """False when the queue was not paused."""
    return _switch(
        store, "unpause", f"queue {queue}", lambda: store.policies.unpause(queue),
        "was not paused", fields("queue_unpaused", by=by, queue=queue), by,
    )  # fmt: skip


def pause_all(store: Store, *, by: str) -> bool:
    """False when all queues were paused already."""
    return _switch(
        store, "pause", "all queues", store.policies.pause_all,
        "were paused already", fields("all_queues_paused", by=by), by,
    )  # fmt: skip


def unpause_all(store: Store, *, by: str) -> bool:
    """False when all queues were not paused. A queue that is paused by name stays paused."""
    return _switch(
        store, "unpause", "all queues", store.policies.unpause_all,
        "were not paused", fields("all_queues_unpaused", by=by), by,
    )  # fmt: skip


def _switch(
    store: Store,
    verb: str,
    target: str,
    change: Callable[[], bool],
    otherwise: str,
    extra: dict[str, Any],
    by: str,
) -> bool:
    """Pause or unpause; only a change is marked and logged."""
    with acting(store, by, verb, target) as act:
        changed = act.changed(change(), otherwise)
    if changed:
        store.metrics.mark(verb, target, by)
        log.info("%s %sd %s", by, verb, printable(target), extra=extra)
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
