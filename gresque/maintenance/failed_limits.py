"""The limits of the failed lists: how many entries stay, and for how long."""

from __future__ import annotations

import logging
import os
import time
from collections import deque

from gresque.failure.backend import open_backend
from gresque.failure.failed_list import FailedList
from gresque.failure.failed_time import failed_seconds
from gresque.failure.search import glance
from gresque.failure.sweep_lock import EXPIRY_MS
from gresque.logs import fields
from gresque.maintenance.lease import Lease
from gresque.maintenance.task import NEVER, Interval
from gresque.settings import Settings
from gresque.store.store import Store
from gresque.text import counted

log = logging.getLogger("gresque.maintenance")

LOOK_SECONDS = 10.0
MOST_A_CALL = 1000
"""Entries that one script removes: while it runs the server serves nobody else."""
MOST_A_RUN = 20_000
"""Entries that one run removes. Where there are more it runs again at once, after other tasks."""
PASS_SECONDS = 0.5
"""After this time other tasks have their turn: there may be many lists, or a slow server."""
READ = 50
"""Entries that are read at a time to see how old they are."""


class FailedLimits:
    """Under the lease: removes the oldest failed jobs, as FAILED_MAX_ENTRIES and
    FAILED_MAX_AGE_SECONDS say. Without them it is never due: nothing vanishes that nobody asked to
    remove. It gives way to a command that retries or removes failed jobs at the time.
    """

    name = "failed limits"

    def __init__(self, lease: Lease, settings: Settings) -> None:
        self._lease = lease
        self._backend = settings.failure_backend
        self._most = settings.failed_max_entries
        self._age_seconds = settings.failed_max_age_seconds
        self._interval = Interval(LOOK_SECONDS)
        self._token = os.urandom(16).hex()
        self._lists: deque[FailedList] = deque()
        """Those that this round has still to look at."""

    def due(self, now: float) -> float:
        is_limited = self._most is not None or self._age_seconds is not None
        return self._interval.left(now) if self._lease.held and is_limited else NEVER

    def run(self, store: Store) -> None:
        now = time.monotonic()
        self._interval.begin(now)
        if not self._lists:
            self._lists.extend(open_backend(self._backend, store).lists())
        left, until = MOST_A_RUN, now + PASS_SECONDS
        try:
            while self._lists:
                each = self._lists.popleft()  # one that raises holds up no other one
                removed = self._trim(store, each, left, until)
                left -= removed
                if left <= 0 or time.monotonic() >= until:
                    if removed:
                        self._lists.appendleft(each)
                    break
        finally:
            if self._lists:
                self._interval.begin(time.monotonic(), 0.0)

    def _trim(self, store: Store, failed: FailedList, most: int, until: float) -> int:
        """Returns how many entries were removed. The lock is taken only where there is one to
        remove."""
        oldest = self._oldest(store)
        if not self._above(failed) and not self._too_old(store, failed, oldest, READ):
            return 0
        if not store.failed.begin_sweep(self._token, EXPIRY_MS):
            return 0
        removed = 0
        try:
            while removed < most:
                old = [] if oldest is None else self._too_old(store, failed, oldest, READ)
                count = store.failed.trim_oldest(
                    failed.key, self._token, self._most, old, min(MOST_A_CALL, most - removed)
                )
                if count <= 0:
                    break
                removed += count
                if time.monotonic() >= until:
                    break
        finally:
            store.failed.end_sweep(self._token)
        if removed:
            log.info(
                "removed %s from %s: FAILED_MAX_ENTRIES, FAILED_MAX_AGE_SECONDS",
                counted(removed, "failed job"),
                failed.key,
                extra=fields("failed_trimmed", count=removed, list=failed.key),
            )
        return removed

    def _above(self, failed: FailedList) -> bool:
        return self._most is not None and failed.count() > self._most

    def _oldest(self, store: Store) -> float | None:
        """Entries of before this time are too old."""
        return None if self._age_seconds is None else store.now() - self._age_seconds

    def _too_old(
        self, store: Store, failed: FailedList, oldest: float | None, count: int
    ) -> list[bytes]:
        """The entries at the beginning of the list that are too old. One that does not say when it
        failed is as old as the next one that does."""
        if oldest is None:
            return []
        page = store.failed.page(failed.key, 0, count)
        too_old = 0
        for place, raw in enumerate(page, 1):
            at = failed_seconds(glance(raw).failed_at or "")
            if at is not None and at >= oldest:
                break
            if at is not None:
                too_old = place
        return page[:too_old]
