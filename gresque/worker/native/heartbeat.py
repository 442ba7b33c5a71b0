"""The heartbeat: a sign of life, what runs, who has died, and what others ask of this process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from gevent.monkey import get_original
from redis import exceptions
from redis.exceptions import RedisError

from gresque.clock import iso_8601
from gresque.connection.scripts import script
from gresque.connection.tracked import TrackedConnection
from gresque.errors import RedisUnavailable
from gresque.processes.fingerprint import are_dead, machine
from gresque.processes.identity import worker_of
from gresque.processes.judge import PRUNE_SECONDS, Judge
from gresque.processes.spec import DeadProcess
from gresque.settings import Settings
from gresque.store.commands import Command, Running
from gresque.store.keys import Keys
from gresque.store.ledger import Totals
from gresque.store.refusals import name_refused, pairs
from gresque.text import decoded
from gresque.worker.native.answers import give_answer
from gresque.worker.recovery import recovery_for

log = logging.getLogger("gresque.heartbeat")

TICK_SECONDS = 1.0
BEAT_SECONDS = 10.0
RUNNING_EXPIRY_SECONDS = 15

SILENT = f"no heartbeat for {PRUNE_SECONDS} s"
GONE = "it and its master are gone"
WORKER_WAS_MISSING = 2
RESTORE_SECONDS = 3.0
"""The master shares what it has counted every second."""
RECOVERY_SECONDS = 10.0
"""After so long the process beats again; who is left is still found dead at the next look."""
IDLE = b"worker "
"""Before the id of a worker without processes, to tell it from a process."""

RunCommand = Callable[[Command], Any]
"""Does what others ask for; what it returns, if anything, is the answer."""


class WorkerRecord(NamedTuple):
    """A worker as it is registered: a heartbeat that finds it missing registers it again."""

    id: str
    started: str
    """When the master started, as Resque writes it."""
    counted: Callable[[], Totals]
    """What became of all jobs of the worker so far."""


class Heartbeat:
    """A native thread with a hub and a connection of its own, so that a job that blocks the loop
    of the process neither looks like its death nor keeps it from being told to kill that job.

    Every second it looks at what runs; it speaks to Redis then when some job has been running for
    a second, and every 10 s anyway. In between it waits on its connection: the server announces
    kills as it announces new jobs to the cycle.
    """

    def __init__(
        self,
        settings: Settings,
        process_id: str,
        worker: WorkerRecord,
        judge: Judge,
        running: Callable[[], Running],
        run: RunCommand,
        each_second: Callable[[], None],
        lost: Callable[[], None],
    ) -> None:
        """`running` (its times on the monotonic clock), `obey`, `each_second`, and `lost` when the
        process has no ledger any more, are called in the heartbeat's thread."""
        self._settings = settings
        self._keys = Keys(settings.namespace)
        self._process_id = process_id
        self._worker = worker
        self._judge = judge
        self._running = running
        self._run_command = run
        self._each_second = each_second
        self._lost = lost
        self._last_beat = time.monotonic()
        self._published = False
        self._restores_until: float | None = None
        """The worker was missing: until then its counters are corrected."""
        self._complained: set[str] = set()

    def start(self) -> None:
        """It ends with the process."""
        get_original("_thread", "start_new_thread")(self._run, ())

    def _run(self) -> None:
        # A process that lives for one job is spared the hub and the connection of this thread.
        _sleep(TICK_SECONDS)
        connection = TrackedConnection(self._settings.redis_url)
        while True:
            try:
                self._each_second()
                connection.connect()
                self.take_commands(connection)
                while True:
                    # Without announcements the list is looked at every second.
                    if connection.wait(TICK_SECONDS) or not connection.tracking:
                        connection.invalidated.clear()
                        self.take_commands(connection)
                    self._each_second()
                    self._tick(connection)
            except (RedisError, RedisUnavailable, OSError) as error:
                log.debug("no heartbeat: %s", error)  # the cycle tells of the outage
            except Exception:
                log.exception("the heartbeat failed")
            _sleep(TICK_SECONDS)

    def take_commands(self, connection: TrackedConnection) -> None:
        """Do what this process is asked for, and answer. Raises RedisError."""
        orders = self._keys.commands(self._process_id)
        asked = connection.run(script("take_commands"), 1, orders)
        if isinstance(asked, bytes):
            refused = [(orders, asked.decode())]
            name_refused(self._keys, refused, "this process takes no orders, such as kills")
            return
        for raw in asked:
            order = Command.parse(raw)
            answer = self._run_command(order)
            if answer is not None:
                give_answer(connection, self._keys, order.token, answer)

    def _tick(self, connection: TrackedConnection) -> None:
        now = time.monotonic()
        running = self._running()
        running.since = {s: t for s, t in running.since.items() if now - t >= TICK_SECONDS}
        if now - self._last_beat >= BEAT_SECONDS or running or self._published:
            self.beat(connection, running)

    def beat(self, connection: TrackedConnection, running: Running | None = None) -> None:
        """Say that the process lives, and what it runs, and recover who has died. Raises
        RedisError."""
        running = running or Running()
        keys, worker = self._keys, self._worker
        sent = time.monotonic()
        seconds, microseconds = map(int, connection.call(b"TIME"))
        now = seconds + microseconds / 1_000_000
        looks = self._judge.is_due
        totals = worker.counted()
        registered, beats, workers, near, refused = connection.run(
            script("beat"), 10,
            keys.ledgers, keys.heartbeats, keys.running(self._process_id), keys.processes,
            keys.workers, keys.worker_started(worker.id), keys.masters,
            keys.worker_stat("processed", worker.id), keys.worker_stat("failed", worker.id),
            keys.ledger(self._process_id),
            self._process_id, worker.id, int(now * 1000), iso_8601(seconds),
            running.shifted(now - time.monotonic()).encode(), RUNNING_EXPIRY_SECONDS,
            int(looks), machine() if looks else "",
            worker.started, totals.done + totals.failed, totals.failed,
            int(self._restores_until is not None),
        )  # fmt: skip
        name_refused(keys, pairs(refused), "the dead that stand there are not found")
        self._published = bool(running)
        self._last_beat = time.monotonic()
        self._note(registered)
        if looks:
            self._bury_the_dead(sent, _pairs(beats), workers, _pairs(near))

    def _note(self, registered: int) -> None:
        """What the script said of this process and its worker."""
        now = self._last_beat
        if not registered:
            self._lost()
        elif registered == WORKER_WAS_MISSING:
            log.warning("another program has unregistered this worker; it is registered again")
            self._restores_until = now + RESTORE_SECONDS
        elif self._restores_until is not None and now >= self._restores_until:
            self._restores_until = None

    def _bury_the_dead(
        self,
        sent: float,
        beats: list[tuple[bytes, bytes]],
        workers: list[bytes],
        near: list[tuple[bytes, bytes]],
    ) -> None:
        """Recover the processes that are dead, and forget the workers without any process."""
        scores = {process: float(beat) for process, beat in beats}
        at_work = {process.rsplit(b":", 2)[0] for process in scores}
        # A worker without a process has no heartbeat that could change.
        idle = {IDLE + worker: 0.0 for worker in workers if worker not in at_work}
        dead = self._judge.judge([*scores.items(), *idle.items()], sent)
        gone = [process for process, place in near if are_dead(decoded(place))]
        estates = [_dead_process(process, GONE, None) for process in gone]
        estates += [
            _dead_process(process, SILENT, scores[process])
            for process in dead
            if process in scores and process not in gone
        ]
        left = [decoded(worker).removeprefix(IDLE.decode()) for worker in dead if worker in idle]
        if estates or left:
            self._recover(estates, left)

    def _recover(self, estates: Sequence[DeadProcess], left: Sequence[str]) -> None:
        # Its connections belong to this thread's hub, so it is not kept for another call.
        recovery = recovery_for(self._settings)
        workers = set(left)
        until = time.monotonic() + RECOVERY_SECONDS
        try:
            for dead_process in estates:
                if time.monotonic() >= until:
                    break
                try:
                    recovery.recover(dead_process)
                except (exceptions.ConnectionError, exceptions.TimeoutError, OSError):
                    raise
                except Exception as error:
                    self._complain(dead_process.process_id, error)
                else:
                    workers.add(worker_of(dead_process.process_id))
            for worker_id in workers:
                recovery.store.workers.unregister(worker_id)
        finally:
            recovery.close()

    def _complain(self, process_id: str, error: Exception) -> None:
        """Once for each process: it is tried again at the next look."""
        if process_id not in self._complained:
            self._complained.add(process_id)
            log.error(
                "cannot recover the dead process %s: %s: %s",
                process_id,
                type(error).__name__,
                error,
            )


def _pairs(flat: list[bytes]) -> list[tuple[bytes, bytes]]:
    return list(zip(flat[::2], flat[1::2], strict=True))


def _sleep(seconds: float) -> None:
    """Of the native thread. By `select`, as `time.sleep` fails under libfaketime."""
    get_original("select", "select")([], [], [], seconds)


def _dead_process(process: bytes, cause: str, beat: float | None) -> DeadProcess:
    return DeadProcess(decoded(process), cause, None, blameless=False, beat=beat)
