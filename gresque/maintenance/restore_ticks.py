"""Schedule entries without a next tick, or with one that is too far away, get theirs."""

from __future__ import annotations

import logging
import time

from gresque.errors import ScheduleError
from gresque.logs import fields
from gresque.maintenance.lease import Lease
from gresque.maintenance.task import NEVER, Interval
from gresque.schedule.entry import from_json
from gresque.store.cron_snapshot import Change, Snapshot
from gresque.store.store import Store
from gresque.text import counted

log = logging.getLogger("gresque.cron")

RESTORE_SECONDS = 300.0
TOLERATED_MS = 3_600_000
"""By how much the server's clock may be set back and the ticks stay: two servers that take over
from each other differ, and a tick that ran by one clock is not to run again by the other."""


class RestoreTicks:
    """Under the lease. A server whose clock was a day ahead, and was put right, would run no entry
    for a day; one whose `cron:next` was lost would never run those of no code again."""

    name = "restore ticks"

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._interval = Interval(RESTORE_SECONDS)

    def due(self, now: float) -> float:
        return self._interval.left(now) if self._lease.held else NEVER

    def run(self, store: Store) -> None:
        snapshot, now = store.cron.read(), int(store.now() * 1000)
        changes = [
            change
            for name, raw in snapshot.entries.items()
            if (change := _restored(name, raw, snapshot, now)) is not None
        ]
        if changes:
            store.cron.put(changes)
            log.warning(
                "%s, %s among them, had no next tick, or one that was too far away, as when the "
                "clock of Redis is set back: counted from now",
                counted(len(changes), "schedule entry", "schedule entries"), changes[0].name,
                extra=fields("ticks_restored", count=len(changes)),
            )  # fmt: skip
        self._interval.begin(time.monotonic())


def _restored(name: str, raw: bytes, snapshot: Snapshot, now: int) -> Change | None:
    tick = snapshot.next.get(name)
    if name in snapshot.paused or (tick is not None and tick <= now + TOLERATED_MS):
        return None
    try:
        entry = from_json(raw)
    except ScheduleError:
        return None  # named at its tick, and by `gresque status`
    if not entry.enabled:
        return None
    furthest = entry.schedule.next_after(now + TOLERATED_MS)
    if furthest is None or (tick is not None and tick <= furthest):
        return None
    # One that has come by a tick meanwhile keeps it.
    return Change(name, raw, raw, entry.schedule.next_after(now), keep=tick is None)
