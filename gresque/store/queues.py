"""Queues: pushing jobs, looking at those that wait, removing them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gresque.store.bulk import in_bulks
from gresque.store.enqueuer import Enqueuer
from gresque.store.ledger import LedgerEntry
from gresque.store.server import Server
from gresque.text import decoded, encoded


class Queues:
    """The LIST of each queue, and the SET of their names."""

    def __init__(self, server: Server, enqueuer: Enqueuer) -> None:
        self._server = server
        self._keys = server.keys
        self._enqueuer = enqueuer

    def push(self, queue: str, raw: bytes) -> None:
        """Make the queue known and push one job. Raises NotEnqueued, PerhapsEnqueued."""
        self._enqueuer.push(queue, (raw,))

    def push_many(self, queue: str, raws: Iterable[bytes]) -> Iterator[int]:
        """Push jobs, a round trip per 1,000 or 16 MB; yields how many each of them pushed."""
        for batch in in_bulks(raws, len):
            yield self.push_batch(queue, batch)

    def push_batch(self, queue: str, batch: list[bytes]) -> int:
        """Push jobs in one round trip, all of them or none; returns how many.

        Raises NotEnqueued, PerhapsEnqueued.
        """
        self._enqueuer.push(queue, batch)
        return len(batch)

    def names(self) -> list[str]:
        return sorted(decoded(n) for n in self._server.read((), "SMEMBERS", self._keys.queues))

    def size(self, queue: str) -> int:
        return int(self._server.call("LLEN", self._keys.queue(queue)))

    def sizes(self) -> dict[str, int]:
        """Every queue with the number of jobs that wait in it, in two round trips."""
        names = self.names()
        pipeline = self._server.redis.pipeline(transaction=False)
        for name in names:
            pipeline.llen(encoded(self._keys.queue(name)))
        sizes = pipeline.execute(raise_on_error=False)
        keys = [self._keys.queue(name) for name in names]
        return dict(zip(names, self._server.numbers(keys, sizes), strict=True))

    def peek(self, queue: str, start: int = 0, count: int = 1) -> list[bytes]:
        """`count` items from position `start`, the next job first."""
        if count <= 0:
            return []
        key = self._keys.queue(queue)
        items: list[bytes] = self._server.call("LRANGE", key, start, start + count - 1)
        return items

    def is_in_head(self, entry: LedgerEntry, count: int) -> bool:
        """Whether this job is among the first `count` ones of its queue."""
        return entry.raw in self._server.call("LRANGE", entry.queue_key, 0, count - 1)

    def remove_items(self, queue: str, raws: Iterable[bytes]) -> int:
        """Remove every copy of these items from the queue; returns how many were removed."""
        pipeline = self._server.redis.pipeline(transaction=False)
        for raw in raws:
            pipeline.execute_command("LREM", encoded(self._keys.queue(queue)), 0, raw)
        return sum(pipeline.execute())

    def remove(self, queue: str) -> int:
        """Forget the queue and every job in it; returns how many those were."""
        name, key = encoded(queue), encoded(self._keys.queue(queue))
        pipeline = self._server.redis.pipeline(transaction=True)
        pipeline.llen(key)
        pipeline.srem(self._keys.queues, name)
        pipeline.delete(key)
        pipeline.hdel(self._keys.suspects, key)
        return int(pipeline.execute()[0])
