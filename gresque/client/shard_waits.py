"""Waiting for tracked jobs that may be on several shards."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gresque.client.each_shard import EachShard

if TYPE_CHECKING:
    from gresque.store.store import Store
    from gresque.store.tracks import TrackedState

SLICE_SECONDS = 0.25
"""Where fewer jobs are waited for than are given, and these are on several shards, it is looked
this often whether enough of all have ended."""

States = dict[str, "TrackedState | None"]


def wait_on_shards(
    client: EachShard, ids: Sequence[str], seconds: float | None, wanted: int
) -> States:
    """As `ResultWaits.wait`. It asks all shards once which of the jobs they have, and then waits on
    those that have some."""
    until = None if seconds is None else time.monotonic() + seconds
    places = _find(client, ids)
    unknown = [job_id for job_id in ids if job_id not in places]
    if unknown:
        return dict.fromkeys(unknown)
    groups: dict[str, list[str]] = {}
    for job_id, url in places.items():
        groups.setdefault(url, []).append(job_id)
    ended: States = {}
    while True:
        left = None if until is None else max(until - time.monotonic(), 0.0)
        need = wanted - len(ended)
        in_slices = len(groups) > 1 and wanted < len(ids)
        turn = min(SLICE_SECONDS, SLICE_SECONDS if left is None else left) if in_slices else left

        def wait(store: Store, turn: float | None = turn, need: int = need) -> States:
            some = [job_id for job_id in groups.get(_place(store), ()) if job_id not in ended]
            return store.result_waits.wait(some, turn, min(need, len(some))) if some else {}

        for found in client._each(wait):
            ended.update(found)
        over = left is not None and (turn is None or left <= turn)
        if len(ended) >= wanted or None in ended.values() or over:
            return ended


def _find(client: EachShard, ids: Sequence[str]) -> dict[str, str]:
    """Id of each job that some shard knows -> the place of that shard. Raises RedisUnavailable when
    one is known to none and a shard is away."""

    def look(store: Store) -> dict[str, str]:
        states = store.tracks.read(ids)
        known = zip(ids, states, strict=True)
        return {job_id: _place(store) for job_id, state in known if state is not None}

    places: dict[str, str] = {}
    answers, away = client._sorted(client._several, look)
    for found in answers:
        places.update(found)
    if away is not None and len(places) < len(ids):
        raise away
    return places


def _place(store: Store) -> str:
    return f"{store.server.url} {store.keys.prefix}"
