"""Jobs whose time has come: from where they waited to their queues."""

from __future__ import annotations

import logging
import math
import os
import time

import redis

from gresque.connection.errors import means_not_here
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
"""Jobs whose queue refuses them are tried again after this time, and not sooner than after
`REFUSED_REST` times what it takes to try them all, 30 s at most."""
REFUSED_REST = 10
LONGEST_REFUSED_SECONDS = 30.0
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
        self._refused_jobs = 0
        """The first ones of `later`, which a run passes over until `_all_from`: where they are
        many, those behind them would be late."""
        self._all_from = self._all_since = -math.inf
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
        now = time.monotonic()
        if self._watch is None or now >= self._all_from:
            self._refused_jobs, self._all_since, self._all_from = 0, now, math.inf
        refused_jobs = self._refused_jobs
        while due := store.later.due(skip=refused_jobs):
            known = [(name, key) for name, key in due if self._is_queue(key)]
            refused_jobs += sum(
                self._bury(store, name) for name, key in due if not self._is_queue(key)
            )
            _, refused = store.later.promote(known)
            name_refused(self._keys, refused, "its delayed jobs wait")
            keys = {key.encode("utf-8", "surrogateescape") for key, _ in refused}
            refused_jobs += sum(key in keys for _, key in known)
            if time.monotonic() >= until:
                self._unfinished, self._refused_jobs = True, refused_jobs
                return
        self._refused_jobs, now = refused_jobs, time.monotonic()
        if not refused_jobs:
            self._all_from = -math.inf
            return
        self._later_from = now + REFUSED_SECONDS
        if self._all_from == math.inf:
            rest = min(REFUSED_REST * (now - self._all_since), LONGEST_REFUSED_SECONDS)
            self._all_from = now + max(rest, REFUSED_SECONDS)

    def _is_queue(self, key: bytes) -> bool:
        prefix = self._keys.queue_prefix.encode("utf-8", "surrogateescape")
        return key.startswith(prefix) and key != prefix

    def _bury(self, store: Store, name: bytes) -> bool:
        """Move what is no job of a queue to a failed list. True when that refuses it."""
        member = name.decode("utf-8", "surrogateescape")
        entry = store.later.entry(member)
        if entry is None:  # nothing but the name is left
            store.later.promote([(name, b"")])
            return False
        error = "what waited in later is no entry of a job"
        to, failed_entry = self._failure(entry, error, is_item=False)
        try:
            buried = store.later.bury(member, entry, to.key, failed_entry, to.name)
        except redis.ResponseError as refusal:
            if means_not_here(refusal):
                raise
            name_refused(self._keys, [(to.key, str(refusal))], "what belongs there waits in later")
            return True
        if buried:  # else another one was first
            _log_invalid(error)
        return False

    # Those of other programs

    def _promote_delayed(self, store: Store, until: float) -> None:
        now, refused, held = store.now(), set[str](), False
        while (timestamp := store.delayed.due(now, refused)) is not None:
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
        due = _epoch_seconds(timestamp, store)
        while True:
            found = [self._move(item, due) for item in store.delayed.items(timestamp)]
            bulks = in_bulks(found, lambda each: len(each[0].raw), most_bytes=PROMOTED_BYTES)
            bulk = next(bulks, [])
            moved = store.delayed.move(timestamp, [move for move, _ in bulk], self._mark)
            for _, error in bulk[: moved.jobs]:
                _log_invalid(error)
            if moved.jobs < MOVED_ITEMS or moved.refused or time.monotonic() >= until:
                return moved

    def _move(self, item: bytes, due: float) -> tuple[Move, str]:
        """Where an item goes, and what is wrong with it."""
        try:
            job = read_item(item, due, registry.queue_of)
        except InvalidPayload as invalid:
            error = str(invalid)
        else:
            if job.queue:
                return Move(item, job.raw, to_queue(self._keys, job.queue)), ""
            error = f"the delayed job names no queue, and no job {job.name} is declared here"
        to, entry = self._failure(item, error)
        return Move(item, entry, to), error

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
        return Destination(place.key, "failed" if place.name else "", place.name), entry


def _log_invalid(error: str) -> None:
    if error:
        log.error("%s: it is among the failed jobs", error, extra=fields("delayed_invalid"))


def _epoch_seconds(timestamp: str, store: Store) -> float:
    """The time in the name of a list; now for what is none."""
    try:
        due = float(timestamp)
    except ValueError:
        due = math.nan
    return due if math.isfinite(due) else round(store.now(), 3)
