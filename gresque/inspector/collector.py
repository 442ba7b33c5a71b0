"""One collector for all viewers of a process: a snapshot a second, while a viewer asks."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace

import redis

from gresque.connection.errors import explain
from gresque.errors import GresqueError, RedisUnavailable
from gresque.inspector.collecting import Collecting
from gresque.inspector.snapshot import Snapshot, Trouble
from gresque.inspector.verdict_rules import away
from gresque.logs import fields
from gresque.store.store import Store

log = logging.getLogger("gresque.inspector")

EVERY_SECONDS = 1.0
SECOND_LOOK_SECONDS = 0.3
"""Rates are known from the second snapshot on, so that comes soon."""
LOOKED_SECONDS = 10.0
"""The thread ends when no viewer has asked for this long."""
WAIT_SECONDS = 3.0
SILENT_SECONDS = 3.0
"""Redis hangs when a snapshot has taken this long."""


class Collector:
    """Takes snapshots in a thread of its own, which starts with the first question and ends when
    nobody has asked for 10 s. Any number of threads or greenlets may ask.

        snapshot = collector.last()
        print(snapshot.done_rate, snapshot.waiting)
        newer = collector.after(snapshot.number, wait_seconds=2.0)

    While Redis is away the last snapshot stays, with its `trouble`.
    """

    def __init__(
        self, store: Store, failure_backend: str = "redis", every_seconds: float = EVERY_SECONDS
    ) -> None:
        """`failure_backend` is the workers' setting: where failed jobs stand."""
        self._url = store.server.url
        self._every = every_seconds
        self._collecting = Collecting(store, failure_backend)
        self._changed = threading.Condition()
        self._snapshot: Snapshot | None = None
        self._trouble: Trouble | None = None
        self._thread: threading.Thread | None = None
        self._asked = self._asked_for_jobs = self._asked_for_waits = float("-inf")
        self._closed = False
        self._began: float | None = None
        """When the snapshot was begun that is being taken."""
        self._begun = self._renewed = float("-inf")
        """When the last snapshot was begun, and from when on it has to be."""

    @property
    def seen(self) -> Snapshot | None:
        """The last snapshot, however old, without asking for another one."""
        return self._snapshot

    @property
    def trouble(self) -> Trouble | None:
        """Why there is no new snapshot; None while there is."""
        return self._trouble

    def last(self, wait_seconds: float = WAIT_SECONDS, *, jobs: bool = False) -> Snapshot:
        """The last snapshot; with `jobs` one that has the jobs in flight, too. After a pause it
        waits for a new one, for `wait_seconds` at most, and then returns the old one as it is.
        Raises RedisUnavailable where there is none."""
        with self._changed:
            self._ask(jobs)
            deadline = time.monotonic() + wait_seconds
            while not self._is_good(jobs) and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(min(left, 0.5))
                self._notice_silence()
            self._notice_silence()
            return self._found()

    def after(
        self, number: int, wait_seconds: float, *, jobs: bool = False, waits: bool = False
    ) -> Snapshot | None:
        """The first snapshot that has another number than this one; None where none comes in
        time. With `waits` it has what running jobs wait on, which `jobs` brings along."""
        with self._changed:
            deadline = time.monotonic() + wait_seconds
            while True:
                self._ask(jobs, waits)
                self._notice_silence()
                found = self._snapshot
                if found is not None and found.number != number:
                    return found
                left = deadline - time.monotonic()
                if left <= 0 or self._closed:
                    return None
                self._changed.wait(min(left, 1.0))

    def renew(self) -> None:
        """The caller has changed something: `last` waits for a snapshot that is begun from now on,
        which comes at once."""
        with self._changed:
            self._renewed = time.monotonic()
            self._changed.notify_all()

    def close(self) -> None:
        """End the thread, and wait for it."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(WAIT_SECONDS)

    def _ask(self, jobs: bool, waits: bool = False) -> None:
        self._asked = time.monotonic()
        if jobs:
            self._asked_for_jobs = self._asked
        if waits:
            self._asked_for_waits = self._asked
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._run, name="collector", daemon=True)
            self._thread.start()

    def _is_good(self, jobs: bool) -> bool:
        if self._trouble is not None or self._closed:
            return True
        found = self._snapshot
        return (
            found is not None
            and found.age < 2 * self._every
            and not self._is_outdated
            and (found.jobs is not None or not jobs)
        )

    @property
    def _is_outdated(self) -> bool:
        return self._begun < self._renewed

    def _notice_silence(self) -> None:
        """A server that hangs raises an error after half a minute only."""
        began = self._began
        if (
            self._trouble is None
            and began is not None
            and time.monotonic() - began >= SILENT_SECONDS
        ):
            self._note(explain(self._url, TimeoutError("it hangs")))
            self._changed.notify_all()

    def _found(self) -> Snapshot:
        if self._snapshot is not None:
            return self._snapshot
        reason = self._trouble.reason if self._trouble else "Redis has not answered yet"
        raise RedisUnavailable(reason)

    # In the thread

    def _run(self) -> None:
        self._collecting.forget()
        taken = 0
        while True:
            began = time.monotonic()
            self._take()
            taken += 1
            every = SECOND_LOOK_SECONDS if taken == 1 else self._every
            with self._changed:
                self._wait_until(began + min(every, self._every))
                if self._closed or time.monotonic() - self._asked >= LOOKED_SECONDS:
                    self._thread = None
                    self._changed.notify_all()
                    return

    def _wait_until(self, at: float) -> None:
        while not (self._closed or self._is_outdated) and (left := at - time.monotonic()) > 0:
            self._changed.wait(left)

    def _take(self) -> None:
        """One snapshot, or the reason why there is none."""
        number = self._next_number()
        trouble: str | None = None
        self._began = began = time.monotonic()
        try:
            since = time.monotonic() - LOOKED_SECONDS
            snapshot = self._collecting.take(
                number,
                wants_jobs=self._asked_for_jobs > since,
                wants_waits=self._asked_for_waits > since,
            )
        except (redis.RedisError, GresqueError, OSError) as error:
            trouble = explain(self._url, error)
        except Exception as error:
            log.exception("no snapshot", extra=fields("collector_failed"))
            trouble = f"the collector failed: {type(error).__name__}"
        with self._changed:
            self._began, self._begun = None, began
            if trouble is not None:
                self._note(trouble)
                self._collecting.forget()
            else:
                # While it was taken, the silence may have been noted, with this number.
                if number < self._next_number():
                    snapshot = replace(snapshot, number=self._next_number())
                self._snapshot, self._trouble = snapshot, None
            self._changed.notify_all()

    def _next_number(self) -> int:
        return 1 if self._snapshot is None else self._snapshot.number + 1

    def _note(self, reason: str) -> None:
        since = self._trouble.since if self._trouble else time.time()
        if self._trouble is None or self._trouble.reason != reason:
            self._trouble = Trouble(reason, since)
            if self._snapshot is not None:
                self._snapshot = replace(
                    self._snapshot,
                    number=self._next_number(),
                    trouble=self._trouble,
                    verdict=self._snapshot.verdict.with_first(away(reason)),
                )
