"""The lease: of the maintenance processes of all masters one does what needs to be done once."""

from __future__ import annotations

import logging
import random
import time

from gresque.logs import fields
from gresque.maintenance.task import Interval
from gresque.store.store import Store

log = logging.getLogger("gresque.maintenance")

LEASE_SECONDS = 5.0
_EXPIRY_MS = int(LEASE_SECONDS * 1000)
RENEW_SECONDS = 1.6
"""Two renewals may fail."""
TRY_SECONDS = 4.0
TRY_JITTER_SECONDS = 1.0


def holder_name(worker_id: str, started: str) -> str:
    """A master, as it stands in the lease."""
    return f"{worker_id} {started}"


class Lease:
    """Held by one maintenance process at a time. The others try to take it at intervals, a new one
    at once, so that it is taken over within 9 s after the death of a host.

    It saves work; nothing relies on it for safety. Two that hold it at once, as after a process was
    stopped for a while, do no harm: every task under the lease compares before it writes.

    `holder` names the master, not the process: the successor of a maintenance process that died
    has the lease as soon as it runs.
    """

    name = "lease"

    def __init__(self, holder: str) -> None:
        self.held = False
        """Whether this process does what needs to be done once."""
        self._holder = holder
        self._is_ours = False
        """Whether the key has this holder; not so where another program uses the key, and every
        master does the work."""
        self._is_new = True
        self._interval = Interval(RENEW_SECONDS)

    def due(self, now: float) -> float:
        return self._interval.left(now)

    def run(self, store: Store) -> None:
        """Renew the lease, or try to take it."""
        held, self.held = self.held, False  # also when Redis does not answer
        now = time.monotonic()
        self._interval.begin(now, RENEW_SECONDS)
        if self._renew(store):
            self._is_ours = self.held = True
        else:
            taken = store.maintenance.take_lease(self._holder, _EXPIRY_MS)
            self._is_ours, self.held = bool(taken), taken is not False
        self._is_new = False
        if not self.held:
            jitter = random.uniform(-TRY_JITTER_SECONDS, TRY_JITTER_SECONDS)
            self._interval.begin(now, TRY_SECONDS + jitter)
        if self.held != held:
            log.debug(
                "this master has %s the lease",
                "taken" if self.held else "lost",
                extra=fields("lease_taken" if self.held else "lease_lost"),
            )

    def _renew(self, store: Store) -> bool:
        if self._is_new:
            self._is_ours = store.maintenance.has_lease(self._holder)
        return self._is_ours and store.maintenance.renew_lease(self._holder, _EXPIRY_MS)

    def release(self, store: Store) -> None:
        """Let another one take it at once. Raises RedisError."""
        self.held = False
        if self._is_ours:
            self._is_ours = False
            store.maintenance.release_lease(self._holder)
