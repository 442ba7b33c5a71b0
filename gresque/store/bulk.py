"""How many jobs go to Redis in one round trip. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

BULK_JOBS = 1000
BULK_BYTES = 16 * 1024 * 1024
"""Redis drops a connection whose command grows over 1 GB; long before that, others wait for it."""


def in_bulks(
    items: Iterable[T],
    size: Callable[[T], int],
    most: int = BULK_JOBS,
    most_bytes: int = BULK_BYTES,
) -> Iterator[list[T]]:
    """Lists of at most `most` items and `most_bytes` (one item may be larger), as they come."""
    bulk: list[T] = []
    total = 0
    for item in items:
        item_bytes = size(item)
        if bulk and total + item_bytes > most_bytes:
            yield bulk
            bulk, total = [], 0
        bulk.append(item)
        total += item_bytes
        if len(bulk) >= most:
            yield bulk
            bulk, total = [], 0
    if bulk:
        yield bulk
