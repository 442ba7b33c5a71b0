"""Taking jobs out of their queue by hand, and releasing their locks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gresque.jobs.ends import End, EndedJob, EndRules, effects_of
from gresque.jobs.unique import UNIQUE_IN_BYTES
from gresque.store.effects import Effect
from gresque.store.keys import Keys

if TYPE_CHECKING:
    from gresque.store.store import Store

REMOVED_AT_ONCE = 5000
"""A step of this size takes the server some milliseconds."""


def effect_on_lock(keys: Keys, queue: str, raw: bytes, end: End = End.DEQUEUED) -> Effect | None:
    """The effect of this end on the lock of a job; None for a job without a lock."""
    if UNIQUE_IN_BYTES not in raw:
        return None
    effects = effects_of(EndedJob(queue, raw), end, None, EndRules(keys)).effects
    return effects[0] if effects else None


def release_locks(store: Store, queue: str, raws: Iterable[bytes]) -> None:
    """Release the locks of jobs that were removed with their queue. The maintenance process sweeps
    those that stay because the program ends before."""
    found = (effect_on_lock(store.keys, queue, raw, End.QUEUE_REMOVED) for raw in raws)
    store.locks.apply([effect for effect in found if effect is not None])


def take_out(store: Store, queue: str, raws: Iterable[bytes]) -> int:
    """Take every copy of these items out of a queue and release their locks; returns the number of
    copies."""
    plain, removed = [], 0
    for raw in raws:
        effect = effect_on_lock(store.keys, queue, raw)
        if effect is None:
            plain.append(raw)
        else:
            removed += store.locks.take_out(queue, effect, item=raw)
    return removed + (store.queues.remove_items(queue, plain) if plain else 0)


def remove_queue(store: Store, queue: str) -> int:
    """Remove the queue and every job in it; returns the number of jobs. This takes several steps,
    as the locks of the jobs go too, so jobs that are pushed meanwhile may stay."""
    left, removed = store.queues.size(queue), 0
    while True:
        cleared = store.queues.clear(queue, REMOVED_AT_ONCE)
        release_locks(store, queue, cleared.unique)
        removed += cleared.removed
        if cleared.is_over or removed >= left:
            return removed
