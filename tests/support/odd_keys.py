"""Keys that other programs have spoilt."""

from __future__ import annotations

import redis

from gresque.store.keys import Keys

Redis = redis.Redis
KEYS = Keys("resque")
WORKER = "elsewhere:1:q:1:1:1"
DEAD = f"{WORKER}:20:1000"
LIVE = "host:1:q:1:1:1:10:1000"
LEDGER = KEYS.ledger(DEAD)
JOB = b'{"class":"nap","args":[1]}'
ENTRY = b"14:resque:queue:q" + JOB
STATE = b"9 5 3 1 0 0"


def die(client: Redis, process: str = DEAD, **fields: bytes) -> None:
    """A process that has died with these fields in its ledger."""
    named = {name.removeprefix("_"): value for name, value in fields.items()}
    client.hset(KEYS.ledger(process), mapping=named)  # type: ignore[arg-type]
    client.zadd(KEYS.ledgers, {process: 0})


def queue(client: Redis, name: str = "q") -> list[bytes]:
    """The jobs that wait in it, suspects included."""
    return [raw for place in KEYS.places(name) for raw in client.lrange(place, 0, -1)]


def spoil(client: Redis, key: str) -> None:
    """Another program keeps something of another type under a key."""
    client.delete(key)
    if key == KEYS.prefix + "queue:bad" or KEYS.kind(key) not in ("a string", "a number"):
        client.set(key, "x")
    else:
        client.rpush(key, "x")
