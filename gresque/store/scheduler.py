"""Putting jobs into `later` through outages of Redis: once, or not at all."""

from __future__ import annotations

from collections.abc import Sequence

from redis.exceptions import NoPermissionError

from gresque.connection.raw import RawConnection
from gresque.connection.scripts import script
from gresque.connection.waits import BLOCKING, Waits
from gresque.store.enqueuer import Enqueuer
from gresque.store.keys import Keys
from gresque.store.later_job import Times
from gresque.store.producer_slots import ProducerSlot
from gresque.store.track import track_of, tracked
from gresque.text import shell


class Scheduler(Enqueuer):
    """As the Enqueuer, for jobs that are to wait. Those that are due by the server's clock when
    they arrive go to their queue at once."""

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
        self._script = script("schedule")

    def schedule(self, queue: str, ids: Sequence[str], raws: Sequence[bytes], times: Times) -> None:
        """Let the jobs wait, all of them or none, in one round trip; 1,000 at most,
        and MOST_TRACKED of tracked ones.

        Tries again for `retry_seconds` when Redis fails. Raises NotEnqueued or PerhapsEnqueued.
        """
        arguments = [b"in" if times.are_delays else b"at"]
        for job_id, milliseconds, raw in zip(ids, times.milliseconds, raws, strict=True):
            arguments += job_id.encode(), b"%d" % milliseconds, raw
        self.push(queue, tracked(arguments, track_of(raws)))

    def _changed(self, queue: str, raws: Sequence[bytes]) -> tuple[str, ...]:
        keys = self._keys
        return keys.later, keys.later_jobs, keys.queues, keys.queue(queue)

    def _push_plainly(
        self,
        connection: RawConnection,
        producer_slot: ProducerSlot,
        queue: str,
        raws: Sequence[bytes],
    ) -> None:
        """Plain commands can neither do it once nor know the server's time."""
        raise NoPermissionError("a delayed job needs EVALSHA and EVAL, see docs/acl.md")

    def _place(self, queue: str) -> str:
        return shell("gresque", "delayed", "--queue", queue)
