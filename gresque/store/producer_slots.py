"""Slots of a producer: the few connections over which a process pushes, and the queue for them."""

from __future__ import annotations

import math
import os
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any
from weakref import ref

from gresque.connection.raw import RawConnection
from gresque.store.keys import Keys
from gresque.unpatched import original

MOST_SLOTS = 16
"""Slots of a process, or of a native thread of it under gevent. A server runs one push after the
other: more connections than keep it busy make nothing faster, and it has 10,000 for all."""

IDLE_SECONDS = 60.0
"""A connection that was not used for this time is closed, at the next push over another one."""

_allocate_lock: Callable[[], Any] = original("_thread", "allocate_lock")


class ProducerSlot:
    """Used by one push at a time: a slot in Redis, the number of the last push in it, and a
    connection, None while that is not known to be in step."""

    __slots__ = ("_pool", "connection", "key", "number", "renewed", "sent", "slot", "used")

    def __init__(self, pool: Pool, key: str, slot: int) -> None:
        self._pool = ref(pool)
        self.key = key
        self.slot = slot
        self.number = 0
        self.connection: RawConnection | None = None
        self.used = 0.0
        self.renewed = -math.inf
        """When a push last renewed the expiry."""
        self.sent = False
        """All of a command that pushes went out."""

    def __del__(self) -> None:
        """A kill can strike between any two instructions, so a slot can get lost on its way."""
        pool = self._pool()
        if pool is not None:
            pool.replace_lost()


class ProducerSlots:
    """The slots of one process, under one key, by the hub to which they belong."""

    def __init__(self, keys: Keys, waiter: Callable[[], Waiter] | None = None) -> None:
        """`waiter` is that of an event loop, in whose thread alone the slots are used then."""
        self.pid = os.getpid()
        self._thread, self._get_hub, self._waiter = hubs(waiter)
        self._pools: dict[int, Pool] = {}
        self._key = keys.producer(os.urandom(16).hex())
        self._numbers = count()

    def pool(self) -> Pool:
        thread, hub = self._thread(), self._get_hub()
        pool = self._pools.get(thread)
        if pool is None:
            pool = self._pools.setdefault(thread, Pool(self._key, self._numbers, self._waiter, hub))
        elif pool.hub() is not hub:  # the thread has ended, and another one got its number
            pool.move_to(hub)
        return pool

    def close(self) -> None:
        for pool in list(self._pools.values()):
            pool.close_idle(0.0)


class Waiter:
    """A push that waits for a slot. The slot, or the error, is put here before it is woken."""

    __slots__ = ("_lock", "error", "producer_slot", "since")

    def __init__(self) -> None:
        self.since = time.monotonic()
        self.producer_slot: ProducerSlot | None = None
        self.error: Exception | None = None
        self._lock = _allocate_lock()
        self._lock.acquire()

    def wait(self) -> None:
        self._lock.acquire()

    def wake(self) -> None:
        self._lock.release()


class HubWaiter(Waiter):
    """That of a greenlet: a lock costs more than the rest of the wait."""

    __slots__ = ("_waiter",)

    def __init__(self) -> None:
        self.since = time.monotonic()
        self.producer_slot = None
        self.error = None
        self._waiter: Any = sys.modules["gevent.hub"].Waiter()

    def wait(self) -> None:
        self._waiter.get()

    def wake(self) -> None:
        self._waiter.hub.loop.run_callback(self._waiter.switch, None)


def hubs(
    waiter: Callable[[], Waiter] | None = None,
) -> tuple[Callable[[], int], Callable[[], Any], Callable[[], Waiter]]:
    """How to name the native thread, find its hub, and wait. With `waiter`, that of an event loop,
    there is one thread.

    Under gevent's patches a socket belongs to the hub of the native thread that opened it, and no
    other may wait on it. Without them threads may pass their connections on. A program that uses
    gevent has loaded it: this module never does.
    """
    if waiter is not None:
        return lambda: 0, _no_hub, waiter
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("socket"):
        return original("_thread", "get_ident"), sys.modules["gevent.hub"].get_hub, HubWaiter
    return lambda: 0, _no_hub, Waiter


def _no_hub() -> None:
    """Without gevent's patches."""


def _weakly(hub: Any) -> Callable[[], Any]:
    """A pool must not keep the hub of a thread that has ended."""
    return _no_hub if hub is None else ref(hub)


class Pool:
    """The slots of one hub: at most MOST_SLOTS pushes are under way, others wait, in order.

    It has no lock: each step is a single operation of a deque, and after it has handed over a slot
    it looks again. So neither threads nor a kill in the middle can leave it in disorder.
    """

    def __init__(
        self, key: str, numbers: count[int], waiter: Callable[[], Waiter], hub: Any
    ) -> None:
        self.hub = _weakly(hub)
        self._key = key
        self._numbers = numbers
        self._waiter = waiter
        self._free = deque(self._another() for _ in range(MOST_SLOTS))
        self._waiting: deque[Waiter] = deque()
        self._look_for_idle_at = 0.0
        self.done_at = 0.0
        """When a push last succeeded."""

    def take(self) -> ProducerSlot:
        """The free slot that was used last; without one it waits. Raises redis-py's error when the
        pushes that have one do not succeed (see `give_up`)."""
        if not self._waiting:
            try:
                return self._free.pop()
            except IndexError:
                pass
        waiter = self._waiter()
        self._waiting.append(waiter)
        self._hand_over()
        try:
            waiter.wait()
        except BaseException:
            self._withdraw(waiter)
            raise
        if waiter.producer_slot is None:
            assert waiter.error is not None
            raise waiter.error.with_traceback(None)  # others raise the same one
        return waiter.producer_slot

    def give_back(self, producer_slot: ProducerSlot) -> None:
        self._free.append(producer_slot)
        if self._waiting:
            self._hand_over()
        elif producer_slot.used > self._look_for_idle_at:
            self._look_for_idle_at = producer_slot.used + IDLE_SECONDS
            self.close_idle(producer_slot.used - IDLE_SECONDS)

    def give_up(self, error: Exception, seconds: float) -> None:
        """End the waits that have taken this long while no push succeeded, with an error that
        lasts."""
        waited_since = time.monotonic() - seconds
        with suppress(IndexError):  # none waits, or another thread was faster
            while max(self._waiting[0].since, self.done_at) < waited_since:
                waiter = self._waiting.popleft()
                waiter.error = error
                waiter.wake()

    def replace_lost(self) -> None:
        self._free.appendleft(self._another())
        self._hand_over()

    def close_idle(self, since: float) -> None:
        """Close the free connections that were not used since then; 0: all."""
        for _ in range(len(self._free)):
            try:
                producer_slot = self._free.popleft()
            except IndexError:  # another thread takes them
                break
            if producer_slot.connection is not None and (not since or producer_slot.used < since):
                connection, producer_slot.connection = producer_slot.connection, None
                connection.close()
            self._free.append(producer_slot)
        self._hand_over()

    def move_to(self, hub: Any) -> None:
        """The old hub has ended: its connections are closed, and the pushes that waited have ended
        with it. The slots stay, as each new one takes another place in Redis."""
        self.hub = _weakly(hub)
        self._waiting.clear()
        for producer_slot in list(self._free):
            connection, producer_slot.connection = producer_slot.connection, None
            if connection is not None:
                with suppress(Exception):  # of gevent, where the loop is destroyed
                    connection.close()
        while len(self._free) < MOST_SLOTS:
            self._free.append(self._another())

    def _another(self) -> ProducerSlot:
        return ProducerSlot(self, self._key, next(self._numbers))

    def _hand_over(self) -> None:
        """Give free slots to the pushes that wait, in their order."""
        while self._waiting and self._free:
            try:
                producer_slot = self._free.pop()
            except IndexError:
                return
            try:
                waiter = self._waiting.popleft()
            except IndexError:
                self._free.append(producer_slot)
                continue
            waiter.producer_slot = producer_slot
            waiter.wake()

    def _withdraw(self, waiter: Waiter) -> None:
        try:
            self._waiting.remove(waiter)
        except (ValueError, IndexError):
            if waiter.producer_slot is not None:
                self.give_back(waiter.producer_slot)
