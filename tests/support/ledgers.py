"""What a worker process holds in Redis."""

from __future__ import annotations

from collections import Counter, defaultdict

import redis

from gresque.processes.identity import worker_of
from gresque.store.ledger import IN_ALL, IN_OWN, STATE, HeldLedger, parse_entry, parse_ledger
from gresque.store.store import Store

KEY = b"resque:queue:a"


def read_ledger(store: Store, process_id: str) -> HeldLedger:
    fields = store.redis.hgetall(store.keys.ledger(process_id))
    return parse_ledger(fields, store.keys.list_prefixes)  # type: ignore[arg-type]


def counts(store: Store) -> dict[str, dict[str, int]]:
    """Counter -> queue -> jobs in flight, as the counters say."""
    found: dict[str, dict[str, int]] = {}
    for key in store.redis.keys(f"{store.keys.inflight}*"):
        hash_of = store.redis.hgetall(key)
        found[key.decode()] = {queue.decode(): int(count) for queue, count in hash_of.items()}
    return found


def counted(store: Store) -> dict[str, dict[str, int]]:
    """The same, as the ledgers say."""
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    prefix = store.keys.ledger("")
    for key in store.redis.keys(f"{prefix}*"):
        worker = worker_of(key.decode().removeprefix(prefix))
        for slot, value in store.redis.hgetall(key).items():
            if slot == STATE:
                continue
            entry = parse_entry(value)
            queue = store.keys.queue_of(entry.queue_key.decode())
            assert queue is not None
            if entry.flag in IN_ALL:
                found[store.keys.inflight][queue] += 1
            if entry.flag in IN_OWN:
                found[store.keys.inflight_of(worker)][queue] += 1
    return {key: dict(queues) for key, queues in found.items()}


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
