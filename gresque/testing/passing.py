"""Time that passes on a server for a test. The server's clock cannot be moved, so what waits by it
is brought nearer: no script in production pays for a clock of tests."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gresque.store.store import Store

_EXPIRES_AT = re.compile(rb'"expires_at":([\d.]+)}$')
_LOCK_TIMES = ("first", "until")


def let_pass(store: Store, milliseconds: int) -> None:
    """Let jobs that wait for their time be due this much earlier, and those that expire, and locks,
    expire this much earlier. No worker may be at work meanwhile."""
    redis, keys = store.redis, store.keys
    changes = redis.pipeline(transaction=True)
    for member, _ in redis.zscan_iter(keys.later):
        changes.zincrby(keys.later, -milliseconds, member)
    for member, entry in redis.hscan_iter(keys.later_jobs):
        changes.hset(keys.later_jobs, member, _earlier(entry, milliseconds))
    for queue in store.queues.names():
        for place in keys.places(queue):
            items: Any = redis.lrange(place, 0, -1)
            for position, raw in enumerate(items):
                changes.execute_command("LSET", place, position, _earlier(raw, milliseconds))
    for lock in store.locks.each():
        key = keys.unique(lock.digest)
        left = None if lock.expires is None else int(lock.expires * 1000) - milliseconds
        if left is not None and left <= 0:
            changes.delete(key)
            continue
        if left is not None:
            changes.pexpire(key, left)
        for name, value in zip(_LOCK_TIMES, redis.hmget(key, _LOCK_TIMES), strict=True):
            if value is not None:
                changes.hincrby(key, name, -milliseconds)
    changes.execute()


def _earlier(raw: bytes, milliseconds: int) -> bytes:
    """A payload, or an entry that ends with one, whose expiry comes earlier."""
    seconds = milliseconds / 1000
    return _EXPIRES_AT.sub(lambda found: b'"expires_at":%.3f}' % (float(found[1]) - seconds), raw)
