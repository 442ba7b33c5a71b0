"""Taking jobs out of their queue by hand, and releasing their locks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from gresque.jobs.ends import End, EndedJob, EndRules, effects_of, state_after
from gresque.jobs.tracking import TRACK_IN_BYTES
from gresque.jobs.unique import UNIQUE_IN_BYTES
from gresque.store.effects import Effect
from gresque.store.keys import Keys
from gresque.store.track import NewState

if TYPE_CHECKING:
    from gresque.store.store import Store

REMOVED_AT_ONCE = 5000
"""A step of this size takes the server some milliseconds."""


def effect_on_lock(keys: Keys, queue: str, raw: bytes, end: End = End.DEQUEUED) -> Effect | None:
    """The effect of this end on the lock of a job; None for a job without a lock."""
    if UNIQUE_IN_BYTES not in raw:
        return None
    effects = effects_of(EndedJob(queue, raw), end, None, EndRules(keys)).effects
    return next((effect for effect in effects if effect.kind != "result"), None)


def note_ends(store: Store, queue: str, raws: Iterable[bytes], end: End = End.DEQUEUED) -> None:
    """Write what is known of tracked jobs that were taken out of their place, one of which no other
    process has any more. Should the program end before, it stays as it is until it expires."""
    found = (state_after(queue, raw, end) for raw in raws)
    states = [NewState(*each) for each in found if each is not None]
    if states:
        store.tracks.write(states)


def note_removed(store: Store, queue: str, raws: Sequence[bytes]) -> None:
    """Release the locks of jobs that were removed with others of their queue, and say what became
    of the tracked ones."""
    release_locks(store, queue, raws)
    note_ends(store, queue, raws, End.QUEUE_REMOVED)


def release_locks(store: Store, queue: str, raws: Iterable[bytes]) -> None:
    """Release the locks of jobs that were removed with their queue. The maintenance process sweeps
    those that stay because the program ends before."""
    found = (effect_on_lock(store.keys, queue, raw, End.QUEUE_REMOVED) for raw in raws)
    store.locks.apply([effect for effect in found if effect is not None])


def take_out(store: Store, queue: str, raws: Iterable[bytes]) -> int:
    """Take every copy of these items out of a queue and release their locks; returns the number of
    copies."""
    plain, tracked, removed = [], [], 0
    for raw in raws:
        effect = effect_on_lock(store.keys, queue, raw)
        is_tracked = TRACK_IN_BYTES in raw
        if effect is None and not is_tracked:
            plain.append(raw)
            continue
        if effect is None:
            copies = store.queues.remove_items(queue, [raw])
        else:
            copies = store.locks.take_out(queue, effect, item=raw)
        removed += copies
        if copies and is_tracked:
            tracked.append(raw)
    note_ends(store, queue, tracked)
    return removed + (store.queues.remove_items(queue, plain) if plain else 0)


def remove_queue(store: Store, queue: str) -> int:
    """Remove the queue and every job in it; returns the number of jobs. This takes several steps,
    as the locks of the jobs go too, so jobs that are pushed meanwhile may stay."""
    left, removed = store.queues.size(queue), 0
    while True:
        cleared = store.queues.clear(queue, REMOVED_AT_ONCE)
        note_removed(store, queue, cleared.marked)
        removed += cleared.removed
        if cleared.is_over or removed >= left:
            return removed
