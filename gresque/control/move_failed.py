"""Moving the failed jobs of a shard to the others, their entries as they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from gresque.client.spread import Spread
from gresque.errors import InvalidPayload
from gresque.failure.failed_list import CHANGES, PageSize, read_entry
from gresque.failure.progress import SILENT
from gresque.failure.retry import prepare_retry
from gresque.failure.sweep_lock import EXPIRY_MS, SweepLock
from gresque.store.failed import FailedChange
from gresque.store.store import Store
from gresque.text import decoded


def move_failed(source: Store, target: Spread) -> Iterator[int]:
    """Move every failed list, page by page; yields how many entries of each page were moved.

    A page is written elsewhere before it is removed here: after a kill in between its entries are
    in both places. Each goes where a retry of it belongs: to the shard of its queue, or of the key
    of its lock. Raises SweepLockLost.
    """
    lists = {source.keys.failed: ""}
    lists |= {source.keys.failed_list(name): name for name in source.failed.names()}
    with SweepLock(source, SILENT) as lock:
        for key, name in lists.items():
            yield from _move_list(source, target, key, name, lock)


def _move_list(
    source: Store, target: Spread, key: str, name: str, lock: SweepLock
) -> Iterator[int]:
    size = PageSize()
    while page := source.failed.page(key, 0, min(size.entries, CHANGES)):
        _copy(page, target, name)
        gone = [(place, FailedChange(raw, b"")) for place, raw in enumerate(page, 1)]
        refused = source.failed.rewrite(key, lock.token, EXPIRY_MS, len(page), page[-1], gone)
        if refused == -2:
            raise lock.lost()
        if refused == 0:  # else another program has removed some: what is left is copied again
            yield len(page)
        size.saw(page)


def _copy(page: Sequence[bytes], target: Spread, name: str) -> None:
    by_store = defaultdict[Store, list[bytes]](list)
    for raw in page:
        by_store[target.store_of(*_queue_and_key(raw))].append(raw)
    for store, entries in by_store.items():
        keys = store.keys
        store.failed.append(keys.failed_list(name) if name else keys.failed, name, entries)


def _queue_and_key(raw: bytes) -> tuple[str, str]:
    job = read_entry(0, raw)
    try:
        key = prepare_retry(raw, "").lock.digest
    except InvalidPayload:  # it cannot be retried
        key = ""
    return job.text("queue"), key or job.job_id or decoded(raw)
