"""The heartbeat: says that the process lives, publishes what it runs, finds the dead."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from gevent.monkey import get_original
from redis.exceptions import RedisError

from gresque.worker.recovery import PRUNE_SECONDS, Recovery

log = logging.getLogger("gresque.heartbeat")

TICK_SECONDS = 1.0
BEAT_SECONDS = 10.0
RUNNING_EXPIRY_SECONDS = 15

RunningJob = tuple[bytes, float]
"""Slot, and since when on the monotonic clock."""


class Heartbeat:
    """A native thread with a hub and a connection of its own, so that a job that blocks the loop
    of the process does not look like its death.

    Every second it looks at what runs; it speaks to Redis then when some job has been running for
    a second, and every 10 s anyway.
    """

    def __init__(
        self,
        open_recovery: Callable[[], Recovery],
        process_id: str,
        worker_id: str,
        running: Callable[[], Sequence[RunningJob]],
    ) -> None:
        self._open_recovery = open_recovery
        self._process_id = process_id
        self._worker_id = worker_id
        self._running = running
        # The unpatched lock: its timeout is the clock of this thread, its release ends the thread.
        self._leave: Any = get_original("_thread", "allocate_lock")()
        self._last_beat = time.monotonic()
        self._published = False

    def start(self) -> None:
        self._leave.acquire()
        get_original("_thread", "start_new_thread")(self._run, ())

    def stop(self) -> None:
        self._leave.release()

    def _run(self) -> None:
        # Opened here: sockets belong to the hub of the thread that made them.
        self._recovery = self._open_recovery()
        while not self._leave.acquire(timeout=TICK_SECONDS):
            try:
                self._tick()
            except RedisError as error:
                log.debug("no heartbeat: %s", error)  # the cycle tells of the outage
            except Exception:
                log.exception("the heartbeat failed")

    def _tick(self) -> None:
        now = time.monotonic()
        long_running = [(s, since) for s, since in self._running() if now - since >= TICK_SECONDS]
        due = now - self._last_beat >= BEAT_SECONDS
        if not (due or long_running or self._published):
            return
        self._published = bool(long_running)
        offset = time.time() - now
        dead = self._recovery.store.beat(
            self._process_id,
            self._worker_id,
            msgspec.json.encode({s.decode(): since + offset for s, since in long_running}),
            RUNNING_EXPIRY_SECONDS,
            PRUNE_SECONDS,
        )
        self._last_beat = now
        for process_id in dead:
            if process_id != self._process_id:
                self._recovery.recover(process_id)
