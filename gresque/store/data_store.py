"""The data store: what gresque asks of Redis outside the worker's cycle."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import redis

from gresque.store.connection import open_client
from gresque.store.keys import Keys
from gresque.store.ledger import STATE, LedgerEntry, Totals, parse_entry, parse_state
from gresque.store.scripts import script

BULK = 1000
"""Jobs per round trip of a bulk push."""


class HeldLedger(NamedTuple):
    """What a worker process holds: slot -> entry, and its totals."""

    entries: dict[bytes, LedgerEntry]
    totals: Totals


class DataStore:
    """Redis behind one namespace. Connects at the first call; greenlets and threads may share it.

    Its methods raise redis-py's errors. Values are bytes where they come from a queue, str where
    they are names.
    """

    def __init__(self, redis_url: str, namespace: str) -> None:
        self.redis_url = redis_url
        self.keys = Keys(namespace)
        self.redis: redis.Redis = open_client(redis_url)

    # Queues

    def push(self, queue: str, raw: bytes) -> None:
        """Make the queue known and push one job, in one round trip."""
        pipeline = self.redis.pipeline(transaction=False)
        pipeline.sadd(self.keys.queues, queue)
        pipeline.rpush(self.keys.queue(queue), raw)
        pipeline.execute()

    def push_many(self, queue: str, raws: Iterable[bytes]) -> Iterator[int]:
        """Push jobs, a round trip per 1,000; yields how many each of them pushed."""
        batch: list[bytes] = []
        for raw in raws:
            batch.append(raw)
            if len(batch) >= BULK:
                yield self._push_batch(queue, batch)
                batch = []
        if batch:
            yield self._push_batch(queue, batch)

    def _push_batch(self, queue: str, batch: list[bytes]) -> int:
        pipeline = self.redis.pipeline(transaction=False)
        pipeline.sadd(self.keys.queues, queue)
        pipeline.rpush(self.keys.queue(queue), *batch)
        pipeline.execute()
        return len(batch)

    def queue_names(self) -> list[str]:
        return sorted(_text(name) for name in self._call("SMEMBERS", self.keys.queues))

    def queue_size(self, queue: str) -> int:
        return int(self._call("LLEN", self.keys.queue(queue)))

    def queue_sizes(self) -> dict[str, int]:
        """Every queue with the number of jobs that wait in it, in two round trips."""
        names = self.queue_names()
        pipeline = self.redis.pipeline(transaction=False)
        for name in names:
            pipeline.llen(self.keys.queue(name))
        return dict(zip(names, pipeline.execute(), strict=True))

    def peek(self, queue: str, start: int = 0, count: int = 1) -> list[bytes]:
        """`count` items from position `start`, the next job first."""
        items: list[bytes] = self._call("LRANGE", self.keys.queue(queue), start, start + count - 1)
        return items

    def remove_items(self, queue: str, raws: Iterable[bytes]) -> int:
        """Remove every copy of these items from the queue; returns how many went."""
        pipeline = self.redis.pipeline(transaction=False)
        for raw in raws:
            pipeline.execute_command("LREM", self.keys.queue(queue), 0, raw)
        return sum(pipeline.execute())

    def remove_queue(self, queue: str) -> int:
        """Forget the queue and every job in it; returns how many those were."""
        pipeline = self.redis.pipeline(transaction=True)
        pipeline.llen(self.keys.queue(queue))
        pipeline.srem(self.keys.queues, queue)
        pipeline.delete(self.keys.queue(queue))
        return int(pipeline.execute()[0])

    # Counters

    def stats(self, names: Sequence[str]) -> list[int]:
        """The values of the counters with these keys."""
        return [int(value or 0) for value in self._call("MGET", *names)]

    # Workers

    def worker_ids(self) -> list[str]:
        return sorted(_text(name) for name in self._call("SMEMBERS", self.keys.workers))

    def heartbeats(self) -> dict[str, str]:
        """Worker id -> its last heartbeat, ISO 8601."""
        beats = self._call("HGETALL", self.keys.heartbeats)
        return {_text(worker): _text(beat) for worker, beat in beats.items()}

    def started(self, worker_ids: Sequence[str]) -> dict[str, str]:
        """Worker id -> when its master started."""
        if not worker_ids:
            return {}
        values = self._call("MGET", *(self.keys.worker_started(worker) for worker in worker_ids))
        return {
            worker: _text(value or b"") for worker, value in zip(worker_ids, values, strict=True)
        }

    def process_ids(self) -> list[str]:
        """The worker processes that have a ledger, those that died unrecovered included."""
        return [_text(name) for name in self._call("ZRANGE", self.keys.ledgers, 0, -1)]

    def ledger(self, process_id: str) -> HeldLedger:
        """What the worker process holds right now."""
        return _held(self._call("HGETALL", self.keys.ledger(process_id)))

    def running(self, process_id: str) -> dict[bytes, float]:
        """Slot -> since when it runs (epoch seconds), as of the process's last heartbeat."""
        published = self._call("GET", self.keys.running(process_id))
        if published is None:
            return {}
        since: dict[str, float] = msgspec.json.decode(published)
        return {slot.encode(): start for slot, start in since.items()}

    def beat(
        self,
        process_id: str,
        worker_id: str,
        running: bytes,
        running_expiry_seconds: int,
        prune_seconds: int,
    ) -> list[str]:
        """A process's sign of life, by the server's clock, with what it has been running.

        Returns the processes whose last beat is older than `prune_seconds`.
        """
        keys = self.keys
        seconds, microseconds = self._call("TIME")
        now_ms = int(seconds) * 1000 + int(microseconds) // 1000
        dead = self._script(
            "beat",
            [keys.ledgers, keys.heartbeats, keys.running(process_id)],
            [
                process_id, worker_id, now_ms, iso_8601(int(seconds)), running,
                running_expiry_seconds, now_ms - prune_seconds * 1000,
            ],
        )  # fmt: skip
        return [_text(name) for name in dead]

    def fence(self, process_id: str) -> HeldLedger:
        """Take its ledger away from a dead process, and read it."""
        flat = self._script("fence", [self.keys.ledger(process_id)], [])
        return _held(dict(zip(flat[::2], flat[1::2], strict=True)))

    def recover(
        self, process_id: str, moves: Sequence[tuple[bytes, str, str | bytes, bytes]]
    ) -> tuple[int, int, int]:
        """Move jobs out of a fenced ledger: (slot, "requeue" or "fail", list key, what to push).

        Returns (requeued, failed, still in the ledger). A job that somebody else moved first is
        left alone.
        """
        keys = self.keys
        requeued, failed, left = self._script(
            "recover",
            [
                keys.ledger(process_id), keys.ledgers, keys.running(process_id), keys.queues,
                keys.processed, keys.failures,
            ],
            [process_id, *(part for move in moves for part in move)],
        )  # fmt: skip
        return requeued, failed, left

    def unregister_worker(self, worker_id: str) -> None:
        """Forget a master whose processes have all left."""
        keys = self.keys
        pipeline = self.redis.pipeline(transaction=True)
        pipeline.srem(keys.workers, worker_id)
        pipeline.hdel(keys.heartbeats, worker_id)
        pipeline.delete(
            keys.worker_started(worker_id),
            keys.worker_stat("processed", worker_id),
            keys.worker_stat("failed", worker_id),
        )
        pipeline.execute()

    # Helpers

    def _call(self, *command: Any) -> Any:
        return self.redis.execute_command(*command)

    def _script(self, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        found = script(name)
        try:
            return self._call("EVALSHA", found.sha, len(keys), *keys, *arguments)
        except redis.exceptions.NoScriptError:
            return self._call("EVAL", found.text, len(keys), *keys, *arguments)


def _held(fields: dict[bytes, bytes]) -> HeldLedger:
    state = fields.pop(STATE, None)
    entries = {slot: parse_entry(value) for slot, value in fields.items()}
    return HeldLedger(entries, parse_state(state) if state else Totals())


def iso_8601(epoch_seconds: int) -> str:
    """As Resque writes heartbeats: `2026-11-23T15:33:10+00:00`."""
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(epoch_seconds))


def _text(name: bytes) -> str:
    """Names are UTF-8; a stray byte of another program must not break a listing."""
    return name.decode("utf-8", "surrogateescape")
