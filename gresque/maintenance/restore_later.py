"""Jobs in `later:jobs` that have no time in `later` get one."""

from __future__ import annotations

import logging
import time

from gresque.jobs.envelope import RUN_AT, member, members_of
from gresque.logs import fields
from gresque.maintenance.lease import Lease
from gresque.maintenance.task import NEVER, Interval
from gresque.store.later import entry_of
from gresque.store.later_job import LATEST_MS
from gresque.store.store import Store
from gresque.text import counted

log = logging.getLogger("gresque.maintenance")

RESTORE_SECONDS = 300.0
PASS_SECONDS = 0.5
"""After this time other tasks have their turn, the lease above all."""


class RestoreLater:
    """Under the lease. gresque writes both keys by one script; where another program, or a command
    by hand, has deleted times, their jobs would wait for ever. A job is due by its payload, and now
    when that does not say so."""

    name = "restore later"

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._interval = Interval(RESTORE_SECONDS)
        self._cursor = 0
        """Of the next page; 0 when none is under way."""

    def due(self, now: float) -> float:
        return self._interval.left(now) if self._lease.held else NEVER

    def run(self, store: Store) -> None:
        now = time.monotonic()
        self._interval.begin(now)
        if not self._cursor and not store.later.count_strays():
            return
        given = 0
        while True:
            self._cursor, strays = store.later.strays(self._cursor)
            at = int(store.now() * 1000) if strays else 0
            dues = {name: _due(store, entry, at) for name, entry in strays.items()}
            given += store.later.give_times(dues)
            if not self._cursor:
                break
            if time.monotonic() >= now + PASS_SECONDS:
                self._interval.begin(now, 0.0)
                break
        if given:
            log.warning(
                "%s in %s had no time in %s, which another program may have deleted; they are due "
                "as their payloads say",
                counted(given, "job"), store.keys.later_jobs, store.keys.later,
                extra=fields("later_restored", count=given),
            )  # fmt: skip


def _due(store: Store, entry: bytes, now: int) -> int:
    """In epoch milliseconds."""
    found = entry_of(store.keys, entry)
    seconds = None if found is None else member(members_of(found.raw), RUN_AT, float)
    return now if seconds is None else int(min(max(seconds * 1000, 0), LATEST_MS))
