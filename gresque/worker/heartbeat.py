"""The heartbeat: a sign of life, what runs, who has died, and whom to kill."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec
from gevent.monkey import get_original
from redis.exceptions import RedisError

from gresque.errors import RedisUnavailable
from gresque.settings import Settings
from gresque.store.connection import DirectConnection
from gresque.store.data_store import iso_8601
from gresque.store.keys import Keys
from gresque.store.scripts import script
from gresque.worker.recovery import PRUNE_SECONDS, recovery_for

log = logging.getLogger("gresque.heartbeat")

TICK_SECONDS = 1.0
BEAT_SECONDS = 10.0
RUNNING_EXPIRY_SECONDS = 15

NONE: Mapping[str, float] = {}

RunningJob = tuple[bytes, float]
"""Slot, and since when on the monotonic clock."""


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
        worker_id: str,
        running: Callable[[], Sequence[RunningJob]],
        kill: Callable[[str], None],
        each_second: Callable[[], None],
    ) -> None:
        """`kill(job_id)` and `each_second()` are called in the thread of the heartbeat."""
        self._settings = settings
        self._keys = Keys(settings.namespace)
        self._process_id = process_id
        self._worker_id = worker_id
        self._running = running
        self._kill = kill
        self._each_second = each_second
        self._last_beat = time.monotonic()
        self._judges_from = 0.0
        self._published = False

    def start(self) -> None:
        """It ends with the process."""
        get_original("_thread", "start_new_thread")(self._run, ())

    def _run(self) -> None:
        # A process that lives for one job is spared the hub and the connection of this thread.
        get_original("time", "sleep")(TICK_SECONDS)
        connection = DirectConnection(self._settings.redis_url)
        while True:
            try:
                self._each_second()
                connection.connect()
                self._take_kills(connection)
                while True:
                    # Without announcements the list is looked at every second.
                    if connection.wait(TICK_SECONDS) or not connection.tracking:
                        connection.invalidated.clear()
                        self._take_kills(connection)
                    self._each_second()
                    self._tick(connection)
            except (RedisError, RedisUnavailable, OSError) as error:
                log.debug("no heartbeat: %s", error)  # the cycle tells of the outage
            except Exception:
                log.exception("the heartbeat failed")
            get_original("time", "sleep")(TICK_SECONDS)

    def _take_kills(self, connection: DirectConnection) -> None:
        kills = self._keys.kills(self._process_id)
        for job_id in connection.run(script("take_kills"), 1, kills):
            self._kill(job_id.decode("utf-8", "replace"))

    def _tick(self, connection: DirectConnection) -> None:
        now = time.monotonic()
        long_running = [(s, since) for s, since in self._running() if now - since >= TICK_SECONDS]
        if now - self._last_beat >= BEAT_SECONDS or long_running or self._published:
            self.beat(connection, {s.decode(): since - now for s, since in long_running})
            self._published = bool(long_running)

    def beat(self, connection: DirectConnection, ages: Mapping[str, float] = NONE) -> None:
        """Say that the process lives, with how long ago which slot's job started (seconds, as
        negative numbers), and recover who has died. Raises RedisError."""
        keys = self._keys
        seconds, microseconds = map(int, connection.call(b"TIME"))
        now_ms = seconds * 1000 + microseconds // 1000
        limit = seconds - PRUNE_SECONDS if self._may_judge() else 0
        dead, stale = connection.run(
            script("beat"), 3, keys.ledgers, keys.heartbeats, keys.running(self._process_id),
            self._process_id, self._worker_id, now_ms, iso_8601(seconds),
            msgspec.json.encode({slot: now_ms / 1000 + age for slot, age in ages.items()}),
            RUNNING_EXPIRY_SECONDS, limit * 1000, iso_8601(limit),
        )  # fmt: skip
        self._last_beat = time.monotonic()
        if dead or stale:
            # Its connections belong to this thread's hub, so it is not kept for another call.
            recovery = recovery_for(self._settings)
            for process_id in dead:
                recovery.recover(process_id.decode())
            for worker_id in stale:
                recovery.store.prune_worker(worker_id.decode())
            recovery.close()

    def _may_judge(self) -> bool:
        """Whether others without a heartbeat are dead: not when this process could not beat either,
        in an outage or asleep with its machine, nor until they had the time to come back."""
        now = time.monotonic()
        if now - self._last_beat > PRUNE_SECONDS / 2:
            self._judges_from = now + PRUNE_SECONDS
        return now >= self._judges_from
