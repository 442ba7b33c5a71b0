"""Resque's summary of a namespace, as `Client.info` returns it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gresque.connection.urls import mask
from gresque.settings import one_list_each

if TYPE_CHECKING:
    from gresque.store.store import Store


def info_of(store: Store, failure_backend: str) -> dict[str, Any]:
    """That of one server."""
    found, names = store.stats.summary_and_queues(one_list_each(failure_backend))
    schedules, _ = store.cron.counts()
    flow = store.policies.read()
    return {
        "pending": found.pending,
        "processed": found.processed,
        "queues": found.queues,
        "workers": found.workers,
        "working": found.in_flight,
        "failed": found.failed_list,
        "retried": found.retried,
        "delayed": found.delayed,
        "schedules": schedules,
        "all_paused": flow.all_paused,
        "paused": [name for name, policy in flow.policies.items() if policy.paused],
        "limited": [name for name, policy in flow.policies.items() if policy.is_limited],
        "servers": [mask(store.server.url)],
        "names": names,
    }


def together(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The summary of all shards: numbers are added up, and what has a name is counted once."""
    first, *others = found
    sums = dict(first)
    for more in others:
        for name, value in more.items():
            if name == "all_paused":
                sums[name] = sums[name] and value
            elif isinstance(value, list):
                sums[name] = [*sums[name], *(each for each in value if each not in sums[name])]
            else:
                sums[name] += value
    names = sums.pop("names")
    if others:
        sums["queues"] = len(names)
    return sums
