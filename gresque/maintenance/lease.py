"""The lease: of the maintenance processes of all masters one does what needs to be done once."""

from __future__ import annotations

import logging
import math
import random
import time

from gresque.logs import fields
from gresque.maintenance.task import Interval
from gresque.store.store import Store

log = logging.getLogger("gresque.maintenance")

LEASE_SECONDS = 5.0
_EXPIRY_MS = int(LEASE_SECONDS * 1000)
RENEW_SECONDS = 2.4
"""One renewal may fail."""
SPREAD_SECONDS = 0.4
"""The others try within this time after the lease would have expired, not all at once. Where there
are many masters each takes longer: together they try ten times a second."""
FEW_MASTERS = 4
OFFER_SECONDS = 60.0
"""How often a holder may offer the lease to the others."""


def holder_name(worker_id: str, started: str) -> str:
    """A master, as it stands in the lease."""
    return f"{worker_id} {started}"


class Lease:
    """Held by one maintenance process at a time. The others try to take it when it would expire, a
    new one at once, so that it is taken over within 6 s after the death of a host.

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
        self._next_offer = -math.inf
        """On the monotonic clock."""
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
            left, masters = store.maintenance.take_lease(self._holder, _EXPIRY_MS)
            self._is_ours, self.held = left == 0, not left
            if left:
                spread = SPREAD_SECONDS * max(masters / FEW_MASTERS, 1.0)
                self._interval.begin(now, left / 1000 + random.uniform(0, spread))
        self._is_new = False
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

    def offer(self, store: Store) -> None:
        """Let another one take it, as this machine lacks something. This one does the work until
        that has happened, and keeps the lease when nobody takes it. Raises RedisError."""
        now = time.monotonic()
        if not self._is_ours or now < self._next_offer:
            return
        self._next_offer = now + OFFER_SECONDS
        self._is_ours = False
        self._interval.begin(now, LEASE_SECONDS + 2 * SPREAD_SECONDS)  # by then all have tried
        store.maintenance.release_lease(self._holder)
