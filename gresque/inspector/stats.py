"""The numbers of the whole system."""

from __future__ import annotations

from gresque.settings import one_list_each
from gresque.store.stats import Summary
from gresque.store.store import Store


def read_summary(store: Store, failure_backend: str) -> Summary:
    """In two round trips. `failure_backend` is the workers' setting: where failed jobs stand."""
    return store.stats.summary(one_list_each(failure_backend))
