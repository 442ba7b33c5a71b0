"""How many bytes of payloads a worker process holds.

The size of an item shows only when it has left its queue. So a reply may be large. Of one above
64 MB the process keeps the first jobs and gives the others back to their queues, which sends no
payload. From then on it asks for one job at a time, until what it holds is small again.
"""

from __future__ import annotations

import logging

from gresque.logs import fields
from gresque.worker.threads.pool import ThreadPool
from gresque.worker.turns.batch_size import BatchSize
from gresque.worker.turns.in_flight import InFlight
from gresque.worker.turns.refused import Refused

log = logging.getLogger("gresque.worker")

HEAVY_BYTES = 64 * 1024 * 1024
LIGHT_BYTES = 8 * 1024 * 1024


class Weight:
    """Looks at the size of each reply; counts what is held only while that is much."""

    def __init__(
        self, in_flight: InFlight, pool: ThreadPool, pace: BatchSize, refused: Refused
    ) -> None:
        self._in_flight = in_flight
        self._refused = refused
        self._thread_pool = pool
        self._batch_size = pace
        self._logged = False
        self.heavy = False
        """A reply was large, and what is held is not small yet: each end is settled by itself."""

    def note(self, reply_bytes: int) -> None:
        """A turn's reply had this size."""
        was_heavy = self.heavy
        if reply_bytes > HEAVY_BYTES:
            self.heavy = True
            if not self._logged:
                self._logged = True
                log.warning(
                    "one reply brought jobs of %d MB; this process asks for one job at a time "
                    "until it holds less",
                    reply_bytes // 1_000_000,
                    extra=fields("reply_large", bytes=reply_bytes),
                )
            self._give_back()
        elif self.heavy and self._held_bytes() <= LIGHT_BYTES:
            self.heavy = False
        if self.heavy or was_heavy:
            self._batch_size.limit = 1  # and then at most twice as many each turn

    def _give_back(self) -> None:
        """Keep as many of the jobs that no thread has taken as make 64 MB, and one in any case."""
        fitting, total = 0, 0
        for job in self._in_flight.ready:
            total += len(job[2])
            if total > HEAVY_BYTES:
                break
            fitting += 1
        self._in_flight.give_back_ready(keep=max(fitting, 1))

    def most(self) -> int:
        """How many jobs to ask for at most while it is heavy."""
        return int(self._held_bytes() <= HEAVY_BYTES)

    def _held_bytes(self) -> int:
        in_flight, refused = self._in_flight, self._refused
        running = (job for thread in self._thread_pool.threads if (job := thread.job) is not None)
        held = sum(len(job[2]) for job in (*running, *in_flight.ready))
        return held + sum(each.size for each in (*in_flight.settled, *refused.settled))
