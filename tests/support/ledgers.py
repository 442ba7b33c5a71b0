"""What a worker process holds in Redis."""

from __future__ import annotations

import redis

from gresque.store.ledger import HeldLedger, parse_ledger
from gresque.store.store import Store

KEY = b"resque:queue:a"


def read_ledger(store: Store, process_id: str) -> HeldLedger:
    fields = store.redis.hgetall(store.keys.ledger(process_id))
    return parse_ledger(fields, store.keys.list_prefixes)  # type: ignore[arg-type]


def entry(raw: bytes) -> bytes:
    """A job of queue a, as it stands in a slot."""
    return b"%d:%s%s" % (len(KEY), KEY, raw)


def hold(
    client: redis.Redis, process: str = "p", state: str = "3 2 0 0 0 0", **slots: bytes
) -> None:
    """Let a process hold jobs: `_0=payload` in slot 0."""
    fields = {slot.removeprefix("_"): entry(raw) for slot, raw in slots.items()}
    client.hset(f"resque:ledger:{process}", mapping={"state": state, **fields})  # type: ignore[dict-item]
    client.zadd("resque:ledgers", {process: 1000})
