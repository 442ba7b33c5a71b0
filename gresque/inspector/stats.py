"""The numbers of the whole system."""

from __future__ import annotations

from collections.abc import Mapping

from gresque.settings import one_list_each
from gresque.store.stats import Summary
from gresque.store.store import Store


def read_summary(store: Store, failure_backend: str) -> Summary:
    """In two round trips. `failure_backend` is the workers' setting: where failed jobs stand."""
    return store.stats.summary(one_list_each(failure_backend))


def read_summary_and_queues(store: Store, failure_backend: str) -> tuple[Summary, list[str]]:
    """The same with the names of the queues: those of several shards count once."""
    return store.stats.summary_and_queues(one_list_each(failure_backend))


def merge_summaries(found: Mapping[str, tuple[Summary, list[str]]]) -> tuple[Summary, list[str]]:
    """The sums over these shards."""
    names = sorted({name for _, queues in found.values() for name in queues})
    sums = Summary(*map(sum, zip(*(summary for summary, _ in found.values()), strict=True)))
    return sums._replace(queues=len(names)), names
