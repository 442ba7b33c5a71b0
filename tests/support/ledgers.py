"""What a worker process holds in Redis."""

from __future__ import annotations

from gresque.store.ledger import HeldLedger, parse_ledger
from gresque.store.store import Store


def read_ledger(store: Store, process_id: str) -> HeldLedger:
    fields = store.redis.hgetall(store.keys.ledger(process_id))
    return parse_ledger(fields, store.keys.list_prefixes)  # type: ignore[arg-type]
