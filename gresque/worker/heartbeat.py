"""The heartbeat: a sign of life, what runs, who has died, and what others ask of this process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from gevent import sleep
from gevent.monkey import get_original
from redis.exceptions import RedisError

from gresque.errors import RedisUnavailable
from gresque.settings import Settings
from gresque.store.connection import DirectConnection
from gresque.store.data_store import iso_8601, text
from gresque.store.keys import Keys
from gresque.store.scripts import script
from gresque.store.speech import ORDER_EXPIRY_SECONDS, Order, Running
from gresque.worker.birth import Estate
from gresque.worker.identity import split_process_id
from gresque.worker.recovery import PRUNE_SECONDS, recovery_for
from gresque.worker.whereabouts import are_gone, machine

log = logging.getLogger("gresque.heartbeat")

TICK_SECONDS = 1.0
BEAT_SECONDS = 10.0
RUNNING_EXPIRY_SECONDS = 15
LOOK_AGAIN_SECONDS = 3.0
"""After an outage every process that lives has beaten within this: its heartbeat tries again every
second."""

SILENT = f"no heartbeat for {PRUNE_SECONDS} s"

Obey = Callable[[Order], Any]
"""Does what others ask for; what it returns, if anything, is the answer."""


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
        running: Callable[[], Running],
        obey: Obey,
        each_second: Callable[[], None],
        lost: Callable[[], None],
    ) -> None:
        """`running` (its times on the monotonic clock), `obey`, `each_second`, and `lost` when the
        process has no ledger any more, are called in the heartbeat's thread."""
        self._settings = settings
        self._keys = Keys(settings.namespace)
        self._process_id = process_id
        self._worker_id = worker_id
        self._running = running
        self._obey = obey
        self._each_second = each_second
        self._lost = lost
        self._last_beat = time.monotonic()
        self._looks_near_from = 0.0
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
                self.take_orders(connection)
                while True:
                    # Without announcements the list is looked at every second.
                    if connection.wait(TICK_SECONDS) or not connection.tracking:
                        connection.invalidated.clear()
                        self.take_orders(connection)
                    self._each_second()
                    self._tick(connection)
            except (RedisError, RedisUnavailable, OSError) as error:
                log.debug("no heartbeat: %s", error)  # the cycle tells of the outage
            except Exception:
                log.exception("the heartbeat failed")
            get_original("time", "sleep")(TICK_SECONDS)

    def take_orders(self, connection: DirectConnection) -> None:
        """Do what this process is asked for, and answer. Raises RedisError."""
        orders = self._keys.orders(self._process_id)
        for raw in connection.run(script("take_orders"), 1, orders):
            order = Order.parse(raw)
            answer = self._obey(order)
            if answer is not None:
                key, text = self._keys.answer(order.argument), msgspec.json.encode(answer)
                connection.call(b"SET", key, text, b"EX", ORDER_EXPIRY_SECONDS)

    def _tick(self, connection: DirectConnection) -> None:
        now = time.monotonic()
        running = self._running()
        running.since = {s: t for s, t in running.since.items() if now - t >= TICK_SECONDS}
        if now - self._last_beat >= BEAT_SECONDS or running or self._published:
            self.beat(connection, running)

    def beat(self, connection: DirectConnection, running: Running | None = None) -> None:
        """Say that the process lives, and what it runs, and recover who has died. Raises
        RedisError."""
        self._recover(*self._ask_who_died(connection, running or Running()))

    def first_beat(self, connection: DirectConnection, *, waited: bool) -> None:
        """The beat of a process that was just born, which may live for one job only and not wait
        until others had the time to come back: it looks twice, in between they beat. Having
        `waited` for Redis it judges nobody. Raises RedisError."""
        if waited:
            self._judges_from = time.monotonic() + PRUNE_SECONDS
        dead, stale = self._ask_who_died(connection, Running())
        if dead or stale:
            sleep(LOOK_AGAIN_SECONDS)
            dead_still, stale_still = self._ask_who_died(connection, Running())
            dead = [process for process in dead if process in dead_still]
            stale = [worker for worker in stale if worker in stale_still]
        self._recover(dead, stale)

    def _ask_who_died(
        self, connection: DirectConnection, running: Running
    ) -> tuple[list[bytes], list[bytes]]:
        """Beat, and recover those of this machine that are gone for sure; returns the other dead
        processes, and the workers without any that lives."""
        keys = self._keys
        seconds, microseconds = map(int, connection.call(b"TIME"))
        now = seconds + microseconds / 1_000_000
        limit = seconds - PRUNE_SECONDS if self._may_judge() else 0
        here = machine() if time.monotonic() >= self._looks_near_from else ""
        dead, stale, near, registered = connection.run(
            script("beat"), 4,
            keys.ledgers, keys.heartbeats, keys.running(self._process_id), keys.processes,
            self._process_id, self._worker_id, int(now * 1000), iso_8601(seconds),
            running.shifted(now - time.monotonic()).encode(),
            RUNNING_EXPIRY_SECONDS, limit * 1000, iso_8601(limit), here,
        )  # fmt: skip
        self._published = bool(running)
        self._last_beat = time.monotonic()
        if here:
            self._looks_near_from = self._last_beat + BEAT_SECONDS
        if not registered:
            self._lost()
        places = zip(near[::2], near[1::2], strict=True)
        gone = [process for process, place in places if are_gone(place.decode())]
        if gone:
            self._recover(gone, [], "it and its master are gone")
        return [process for process in dead if process not in gone], stale

    def _recover(self, dead: Sequence[bytes], stale: Sequence[bytes], cause: str = SILENT) -> None:
        if not dead and not stale:
            return
        # Its connections belong to this thread's hub, so it is not kept for another call.
        recovery = recovery_for(self._settings)
        workers = set(map(text, stale))
        for name in map(text, dead):
            recovery.recover(Estate(name, cause, None, blameless=False))
            workers.add(split_process_id(name)[0])
        for worker_id in workers:
            recovery.store.prune_worker(worker_id)
        recovery.close()

    def _may_judge(self) -> bool:
        """Whether others without a heartbeat are dead: not when this process could not beat either,
        in an outage or asleep with its machine, nor until they had the time to come back."""
        now = time.monotonic()
        if now - self._last_beat > PRUNE_SECONDS / 2:
            self._judges_from = now + PRUNE_SECONDS
        return now >= self._judges_from
