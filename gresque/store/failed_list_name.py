"""In which list of Redis a failure is kept. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from gresque.settings import one_list_each
from gresque.store.keys import Keys


class FailedListName(NamedTuple):
    """A failed list: its key, and the name by which it stands in `failed_queues`, if it does."""

    key: str
    name: str


@lru_cache(maxsize=256)
def failed_list_name(setting: str, keys: Keys, queue: str) -> FailedListName:
    """Where a job of `queue` goes when it fails."""
    if one_list_each(setting):
        name = failed_name(queue)
        return FailedListName(keys.failed_list(name), name)
    return FailedListName(keys.failed, "")


def failed_name(queue: str) -> str:
    """The name of the failed list of a queue in the Ruby fork."""
    return f"{queue}_failed"
