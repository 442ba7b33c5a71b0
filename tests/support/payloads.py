"""Payloads as they stand in Redis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

WIRE = Path(__file__).parents[1] / "wire"
ID = "585e6d2b7d64493e8d743877a68508b9"


def lines(name: str) -> list[bytes]:
    return [line for line in (WIRE / name).read_bytes().splitlines() if line]


FORK = [
    *lines("fork_queue_items_variants.jsonl"),
    *lines("fork_queue_item.json"),
    *lines("fork_queue_item_requeue_all.json"),
    *lines("fork_queue_item_retried.json"),
]
STOCK = [*lines("stock_queue_items_variants.jsonl"), *lines("stock_queue_item.json")]


def nested(depth: int, kind: type = list) -> Any:
    value: Any = kind()
    for _ in range(depth - 1):
        value = [value] if kind is list else {"k": value}
    return value


def as_json(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth
