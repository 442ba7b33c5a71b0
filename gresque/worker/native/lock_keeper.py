"""The locks of unique jobs that run for long."""

from __future__ import annotations

import time
from collections.abc import Container
from typing import Any

from gresque.connection.scripts import script
from gresque.store.keys import Keys
from gresque.store.refusals import name_refused, pairs
from gresque.worker.turns.in_flight import InFlight

KEEP_SECONDS = 10.0
AT_ONCE = 1000
REFUSED = "the locks of running jobs are not prolonged there"


class LockKeeper:
    """Prolongs them before they expire: while a job runs, its lock does not go. The heartbeat's
    thread calls it."""

    def __init__(self, keys: Keys, in_flight: InFlight) -> None:
        self._keys = keys
        self._in_flight = in_flight
        self._kept = -KEEP_SECONDS

    def keep(self, connection: Any, slots: Container[str]) -> None:
        """Prolong the locks of the jobs in these slots, every 10 s. Raises RedisError."""
        now = time.monotonic()
        if not self._in_flight.started or now < self._kept + KEEP_SECONDS:
            return
        held = [
            (done.effects[0].key, done.effects[0].b)
            for done in list(self._in_flight.started.values())
            if done is not None and done.job[0].decode() in slots
        ]
        if not held:
            return
        self._kept = now
        for first in range(0, len(held), AT_ONCE):
            locks, ids = zip(*held[first : first + AT_ONCE], strict=True)
            refused = connection.run(script("keep_locks"), len(locks), *locks, *ids)
            name_refused(self._keys, pairs(refused), REFUSED)
