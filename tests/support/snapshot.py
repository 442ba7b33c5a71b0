"""What a server knows at one moment, and how it goes back to it, as after a fail-over."""

from __future__ import annotations

import redis


class Snapshot:
    """Every key of a database, with its expiry."""

    def __init__(self, client: redis.Redis) -> None:
        keys = sorted(client.keys())
        pipeline = client.pipeline(transaction=True)
        for key in keys:
            pipeline.dump(key)
            pipeline.pttl(key)
        found = pipeline.execute()
        self._values = list(zip(keys, found[::2], found[1::2], strict=True))

    def restore(self, client: redis.Redis) -> None:
        """The server forgets what has happened since."""
        pipeline = client.pipeline(transaction=True)
        pipeline.flushdb()
        for key, value, expiry in self._values:
            if value is not None:
                pipeline.restore(key, max(expiry, 0), value)
        pipeline.execute()
