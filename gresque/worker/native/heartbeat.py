"""The heartbeat: a sign of life, what runs, and the commands that this process is given."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from gevent.monkey import get_original
from redis.exceptions import RedisError

from gresque.clock import iso_8601
from gresque.connection.scripts import script
from gresque.connection.tracked import TrackedConnection
from gresque.errors import RedisUnavailable
from gresque.logs import fields
from gresque.settings import Settings
from gresque.store.commands import Command, Running
from gresque.store.keys import Keys
from gresque.store.ledger import Totals
from gresque.store.refusals import name_refused, pairs
from gresque.worker.native.answers import give_answer
from gresque.worker.native.lock_keeper import LockKeeper
from gresque.worker.native.published_threads import PublishedThreads
from gresque.worker.native.running_report import RunningReport

log = logging.getLogger("gresque.heartbeat")

TICK_SECONDS = 1.0
BEAT_SECONDS = 10.0
CLOCK_STEP_SECONDS = 1.0
"""By more than this the server's clock does not drift from one beat to the next: it was set."""

WORKER_WAS_MISSING = 2
RESTORE_SECONDS = 3.0
"""The master shares what it has counted every second."""

RunCommand = Callable[[Command], Any]
"""Runs a command; what it returns is the answer, None for none."""


class WorkerRecord(NamedTuple):
    """A worker as it is registered: a heartbeat that finds it missing registers it again."""

    id: str
    started: str
    """When the master started, as Resque writes it."""
    counted: Callable[[], Totals]
    """The totals of all jobs of the worker so far."""


class Heartbeat:
    """A native thread with a hub and a connection of its own: a job that blocks the loop of the
    process does not make it look dead, and can be killed.

    1. Every 10 s it beats.
    2. Every second it looks which jobs have been running for a second. It publishes what has
       changed of that (see `RunningReport`), and keeps the locks of unique jobs that run.
    3. In between it waits for commands, which the server announces as it announces new jobs; and
       for a viewer.

    It finds no dead processes: the maintenance process of the master does.
    """

    def __init__(
        self,
        settings: Settings,
        process_id: str,
        worker: WorkerRecord,
        running: Callable[[], Running],
        run: RunCommand,
        each_second: Callable[[], None],
        lost: Callable[[], None],
        vitals: Callable[[], bytes] | None = None,
        locks: LockKeeper | None = None,
        waits: Callable[[], bytes] | None = None,
        on_doubt: Callable[[], None] = lambda: None,
        threads: PublishedThreads | None = None,
    ) -> None:
        """The functions are called in the heartbeat's thread: `running` (its times are on the
        monotonic clock), `run` for each command, `each_second`, `lost` when the process has no
        ledger any more, `vitals` where no maintenance process writes those, `waits`, what jobs
        wait on, while a viewer looks, and `on_doubt` when another connection had to be opened.
        `threads` are for the Ruby fork's page."""
        self._settings = settings
        self._keys = Keys(settings.namespace)
        self._process_id = process_id
        self._worker = worker
        self._running = running
        self._run_command = run
        self._each_second = each_second
        self._lost = lost
        self._vitals = vitals
        self._locks = locks
        self._threads = threads
        self._report = RunningReport(self._keys, process_id, waits)
        self._on_doubt, self._was_connected = on_doubt, False
        self._ahead: float | None = None
        """How far the server's clock is ahead of the monotonic one."""
        self._last_beat = time.monotonic() if vitals is None else -math.inf
        self._restores_until: float | None = None
        """The worker was missing: until then its counters are corrected."""

    def start(self) -> None:
        """Called in a native thread when the process has lived for a second: one that lives for a
        single job is spared this thread, its hub and its connection. It ends with the process."""
        get_original("_thread", "start_new_thread")(self._run, ())

    def _run(self) -> None:
        connection = TrackedConnection(self._settings.redis_url, self._settings.namespace)
        while True:
            try:
                self._each_second()
                self.connect(connection)
                self.take_commands(connection)
                while True:
                    self.wait(connection)
                    self._each_second()
                    self.tick(connection)
            except (RedisError, RedisUnavailable, OSError) as error:
                # The cycle logs the outage.
                log.debug("no heartbeat: %s", error, extra=fields("no_heartbeat"))
            except Exception:
                log.exception("the heartbeat failed", extra=fields("heartbeat_failed"))
            _sleep(TICK_SECONDS)

    def connect(self, connection: TrackedConnection) -> None:
        """Open a new connection, perhaps to another server: all is said again. Raises RedisError,
        RedisUnavailable."""
        connection.connect()
        self._report.forget()
        if self._threads is not None:
            self._threads.forget()
        self._ahead = None
        if self._was_connected:
            self._on_doubt()
        self._was_connected = True

    def wait(self, connection: TrackedConnection) -> None:
        """Wait for a second, or for an announcement, and do what it is for. Raises RedisError."""
        # Without announcements the list is looked at every second.
        if not connection.wait(TICK_SECONDS) and connection.tracking:
            return
        changed = set(connection.invalidated)
        connection.invalidated.clear()
        if self._keys.watch.encode() in changed:
            self._report.is_watched = True
        if self._threads is not None:
            self._threads.take_kills(connection, changed)
        # Before Redis 7.2 each beat of any process is announced, as it names keys of all.
        own = {None, self._keys.commands(self._process_id).encode("utf-8", "surrogateescape")}
        if changed & own or not connection.tracking:
            self.take_commands(connection)

    def take_commands(self, connection: TrackedConnection) -> None:
        """Run the commands that this process is given, and answer. Raises RedisError."""
        key = self._keys.commands(self._process_id)
        taken = connection.run(script("take_commands"), 1, key)
        if isinstance(taken, bytes):
            refused = [(key, taken.decode())]
            name_refused(self._keys, refused, "this process takes no commands, such as kills")
            return
        for raw in taken:
            command = Command.parse(raw)
            answer = self._run_command(command)
            if answer is not None:
                give_answer(connection, self._keys, command.token, answer)

    def tick(self, connection: TrackedConnection) -> None:
        """Beat if that is due, and publish what has changed. Raises RedisError."""
        now = time.monotonic()
        found = self._running()
        since = {s: t for s, t in found.since.items() if now - t >= TICK_SECONDS}
        running = Running(since, found.blocking, found.frozen)
        if now - self._last_beat >= BEAT_SECONDS:
            self.beat(connection)
        self._report.publish(connection, running, self._server_is_ahead(connection))
        if self._threads is not None:
            self._threads.publish(connection, running.since)
        if self._locks is not None and running.since:
            self._locks.keep(connection, running.since)

    def beat(self, connection: TrackedConnection) -> None:
        """Say that the process lives. Raises RedisError."""
        keys, worker = self._keys, self._worker
        now = time.monotonic() + self._server_is_ahead(connection)
        totals = worker.counted()
        registered, refused, *clock = connection.run(
            script("beat"), 9,
            keys.ledgers, keys.heartbeats, keys.workers, keys.worker_started(worker.id),
            keys.masters, keys.worker_stat("processed", worker.id),
            keys.worker_stat("failed", worker.id), keys.worker_stat("retried", worker.id),
            keys.ledger(self._process_id),
            self._process_id, worker.id, int(now * 1000), iso_8601(int(now)),
            worker.started, totals.done + totals.failed, totals.failed, totals.retried,
            int(self._restores_until is not None),
        )  # fmt: skip
        name_refused(keys, pairs(refused), "this process is not seen there")
        self._last_beat = time.monotonic()
        self._note(registered)
        self._note_clock(clock)
        if self._vitals is not None:
            connection.call(b"HSET", keys.vitals, self._process_id, self._vitals())

    def _server_is_ahead(self, connection: TrackedConnection) -> float:
        if self._ahead is None:
            self._ahead = _seconds(connection.call(b"TIME")) - time.monotonic()
        return self._ahead

    def _note_clock(self, clock: list[Any]) -> None:
        """What was said by a clock that has been set since is said again."""
        ahead, before = _seconds(clock) - time.monotonic(), self._ahead
        self._ahead = ahead
        if before is not None and abs(ahead - before) > CLOCK_STEP_SECONDS:
            self._report.forget()
            self._last_beat = -math.inf

    def _note(self, registered: int) -> None:
        """Act on the reply of the script about this process and its worker."""
        now = self._last_beat
        if not registered:
            self._lost()
        elif registered == WORKER_WAS_MISSING:
            log.warning(
                "another program has unregistered this worker; it is registered again",
                extra=fields("worker_registered_again"),
            )
            self._restores_until = now + RESTORE_SECONDS
        elif self._restores_until is not None and now >= self._restores_until:
            self._restores_until = None


def _seconds(clock: list[Any]) -> float:
    """Of a reply to TIME."""
    seconds, microseconds = map(int, clock)
    return seconds + microseconds / 1_000_000


def _sleep(seconds: float) -> None:
    """Of the native thread. By `select`, as `time.sleep` fails under libfaketime."""
    get_original("select", "select")([], [], [], seconds)
