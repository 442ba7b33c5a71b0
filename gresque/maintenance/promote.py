"""Jobs whose time has come: from where they waited to their queues."""

from __future__ import annotations

import logging
import math
import os
import time

from gresque.errors import InvalidPayload
from gresque.failure.entry import encode_entry
from gresque.jobs.delayed_item import read_item
from gresque.jobs.registry import registry
from gresque.logs import fields
from gresque.maintenance.due_watch import DueWatch
from gresque.maintenance.lease import Lease
from gresque.maintenance.task import NEVER
from gresque.processes.identity import host
from gresque.settings import Settings
from gresque.store.bulk import in_bulks
from gresque.store.delayed import MOVED_ITEMS, Destination, Move, Moved, to_queue
from gresque.store.failed_list_name import failed_list_name
from gresque.store.keys import Keys
from gresque.store.later import PROMOTED_BYTES
from gresque.store.refusals import name_refused
from gresque.store.store import Store
from gresque.text import printable

log = logging.getLogger("gresque.maintenance")

PASS_SECONDS = 0.5
"""After this time other tasks have their turn, the lease above all; in a burst all is done."""
REFUSED_SECONDS = 0.2
"""Jobs whose queue refuses them are tried again after this time."""
LOCKED_SECONDS = 5.0
"""How often it looks whether another program's scheduler still holds its lock."""


class Promote:
    """Under the lease: moves due jobs of `later` and of resque-scheduler's lists to their queues.

    A script compares before it moves anything, and uses the server's clock: a job is never early,
    and two that promote at once do no harm. Jobs of resque-scheduler's lists are left to the
    scheduler of another program while that holds its lock.
    """

    name = "promote"

    def __init__(
        self, lease: Lease, settings: Settings, worker_id: str, watch: DueWatch | None = None
    ) -> None:
        """Without a `watch` every run looks, as in a burst."""
        self._lease = lease
        self._keys = Keys(settings.namespace)
        self._failure_backend = settings.failure_backend
        self._worker_id = worker_id
        self._mark = f"{host()}:{os.getpid()}"
        self._watch = watch
        self._unfinished = False
        self._later_from = self._delayed_from = -math.inf
        """When it may look again, on the monotonic clock."""
        self._holder = ""
        """The scheduler that was last named in the log."""

    def due(self, now: float) -> float:
        if not self._lease.held:
            return NEVER
        if self._watch is None or self._unfinished:
            return 0.0
        return min(self._watch.left(now), self._next(self._watch) - now)

    def _next(self, watch: DueWatch) -> float:
        """When the next job is due, on the monotonic clock."""
        if not watch.has_looked:
            return -math.inf
        return min(
            max(watch.next(self._keys.later), self._later_from),
            max(watch.next(self._keys.delayed_schedule), self._delayed_from),
        )

    def fileno(self, now: float) -> int | None:
        """The descriptor that becomes readable when a job was added, while that is to be known."""
        if self._watch is None:
            return None
        if not self._lease.held:
            self._watch.close()
            return None
        return self._watch.fileno(now)

    def run(self, store: Store) -> None:
        self._unfinished = False
        until = math.inf if self._watch is None else time.monotonic() + PASS_SECONDS
        if self._is_due(self._keys.later, self._later_from):
            self._promote_later(store, until)
        if self._is_due(self._keys.delayed_schedule, self._delayed_from):
            self._promote_delayed(store, until)
        if self._watch is not None:
            self._watch.look()

    def close(self) -> None:
        if self._watch is not None:
            self._watch.close()

    def _is_due(self, key: str, not_before: float) -> bool:
        watch, now = self._watch, time.monotonic()
        if watch is None or not watch.has_looked:
            return True
        return now >= not_before and now >= watch.next(key)

    # gresque's own delayed jobs

    def _promote_later(self, store: Store, until: float) -> None:
        refused_jobs = 0
        while due := store.later.due(skip=refused_jobs):
            if time.monotonic() >= until:
                self._unfinished = True
                return
            known = [(name, key) for name, key in due if self._is_known(store, name, key)]
            _, refused = store.later.promote(known)
            name_refused(self._keys, refused, "its delayed jobs wait")
            keys = {key.encode("utf-8", "surrogateescape") for key, _ in refused}
            refused_jobs += sum(key in keys for _, key in due)
        if refused_jobs:
            self._later_from = time.monotonic() + REFUSED_SECONDS

    def _is_known(self, store: Store, name: bytes, queue_key: bytes) -> bool:
        """False for what is no job of a queue, which goes to a failed list instead."""
        prefix = self._keys.queue_prefix.encode("utf-8", "surrogateescape")
        if queue_key.startswith(prefix) and queue_key != prefix:
            return True
        member = name.decode("utf-8", "surrogateescape")
        entry = store.later.entry(member)
        if entry is None:
            return True  # nothing but the name is left: the script forgets it
        error = "what waited in later is no entry of a job"
        to, failed_entry = self._failure(entry, error, is_item=False)
        store.later.bury(member, entry, to.key, failed_entry, to.name)
        return False

    # Those of other programs

    def _promote_delayed(self, store: Store, until: float) -> None:
        now, refused, held = store.now(), set[str](), False
        while timestamp := store.delayed.due(now, refused):
            moved = self._promote_list(store, timestamp, until)
            if moved.lock:
                self._name_holder(moved.lock, moved.holder)
                self._delayed_from = time.monotonic() + LOCKED_SECONDS
                return
            held, self._holder = True, ""
            if moved.refused:
                name_refused(self._keys, moved.refused, "its delayed jobs wait")
                refused.add(timestamp)
                self._delayed_from = time.monotonic() + REFUSED_SECONDS
            if time.monotonic() >= until:
                self._unfinished = True
                break
        if held:
            store.delayed.release_locks(self._mark)

    def _promote_list(self, store: Store, timestamp: str, until: float) -> Moved:
        """The jobs of one second, as many at a time as one script may move; returns what became of
        the last ones."""
        while True:
            moves = [self._move(item, timestamp) for item in store.delayed.items(timestamp)]
            bulk = next(in_bulks(moves, lambda move: len(move.raw), most_bytes=PROMOTED_BYTES), [])
            moved = store.delayed.move(timestamp, bulk, self._mark)
            if moved.jobs < MOVED_ITEMS or moved.refused or time.monotonic() >= until:
                return moved

    def _move(self, item: bytes, timestamp: str) -> Move:
        try:
            job = read_item(item, float(timestamp), registry.queue_of)
        except InvalidPayload as error:
            to, entry = self._failure(item, str(error))
            return Move(item, entry, to)
        if job.queue:
            return Move(item, job.raw, to_queue(self._keys, job.queue))
        to, entry = self._failure(
            item, f"the delayed job names no queue, and no job {job.name} is declared here"
        )
        return Move(item, entry, to)

    def _name_holder(self, lock: str, holder: str) -> None:
        if holder == self._holder:
            return
        self._holder = holder
        log.warning(
            "delayed jobs of other programs are left to the scheduler %s, which holds %s",
            printable(holder),
            printable(lock),
            extra=fields("scheduler_elsewhere", lock=lock, holder=holder),
        )

    def _failure(
        self, raw: bytes, error: str, *, is_item: bool = True
    ) -> tuple[Destination, bytes]:
        """Where an item that cannot be moved to a queue is kept, and its entry there."""
        place = failed_list_name(self._failure_backend, self._keys, "delayed")
        entry = encode_entry(
            raw, InvalidPayload.__name__, error, [], self._worker_id, "", is_item=is_item
        )
        log.error("%s: it is among the failed jobs", error, extra=fields("delayed_invalid"))
        return Destination(place.key, "failed" if place.name else "", place.name), entry
