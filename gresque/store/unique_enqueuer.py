"""Enqueueing unique jobs through outages of Redis: each once, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from redis.exceptions import NoPermissionError

from gresque.connection.raw import RawConnection
from gresque.connection.scripts import script
from gresque.connection.waits import BLOCKING, Waits
from gresque.store.enqueuer import Enqueuer
from gresque.store.keys import Keys
from gresque.store.producer_slots import ProducerSlot
from gresque.store.track import Batch, Track
from gresque.store.unique_job import Terms, UniqueJob
from gresque.text import encoded

_ENQUEUED = b"+"


@lru_cache(maxsize=1000)
def _encoded(terms: Terms) -> tuple[bytes, ...]:
    return tuple(encoded(part) if isinstance(part, str) else b"%d" % part for part in terms)


class _Call(Batch):
    """The arguments of a call, and the locks of its jobs."""

    locks: tuple[str, ...] = ()


class UniqueEnqueuer(Enqueuer):
    """The Enqueuer of unique jobs: they are enqueued with their lock, or not at all."""

    _joins = False

    def __init__(
        self,
        url: str,
        keys: Keys,
        retry_seconds: float,
        waits: Waits = BLOCKING,
        wait_replicas: int = 0,
        wait_seconds: float | None = None,
    ) -> None:
        super().__init__(url, keys, retry_seconds, waits, wait_replicas, wait_seconds)
        self._script = script("enqueue_unique")

    def enqueue(
        self, queue: str, terms: Terms, jobs: Sequence[UniqueJob], track: Track | None = None
    ) -> list[str | None]:
        """Enqueue the jobs, MOST_JOBS at most, and MOST_TRACKED of tracked ones, in one round trip;
        returns for each None, or the id of the job that does its work. If `on_duplicate` is "raise"
        and there is a duplicate, no job is enqueued.

        Tries again for `retry_seconds` when Redis fails. Raises NotEnqueued or PerhapsEnqueued.
        """
        call = _Call(_encoded(terms))
        for job_id, milliseconds, key, _, raw in jobs:
            call += job_id.encode(), b"%d" % milliseconds, key.encode(), raw
        call.locks = tuple(self._keys.unique(job.digest) for job in jobs)
        call.track = track
        reply = self.push(queue, call)
        if isinstance(reply, int):
            return [None] * len(jobs)
        return [None if word == _ENQUEUED else word.decode() for word in reply.split(b" ")]

    def _changed(self, queue: str, raws: Sequence[bytes]) -> tuple[str, ...]:
        keys = self._keys
        locks = raws.locks if isinstance(raws, _Call) else ()
        return (keys.later, keys.later_jobs, keys.queues, keys.queue(queue), *locks)

    def _behind(self, track: Track) -> tuple[Any, ...]:
        return (track.ttl_ms,)

    def _push_plainly(
        self,
        connection: RawConnection,
        producer_slot: ProducerSlot,
        queue: str,
        raws: Sequence[bytes],
    ) -> None:
        """No plain command takes a lock and pushes a job."""
        raise NoPermissionError(
            "a unique job needs EVALSHA, EVAL and all other rights of a producer, see docs/acl.md"
        )
