"""Lanes: the few connections over which a process pushes, and those who wait for one."""

from __future__ import annotations

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

MOST_LANES = 16
"""Of a process, or of a native thread of it under gevent. A server does one push after the other:
more connections than keep it busy make nothing faster, and it has 10,000 for all processes."""

IDLE_SECONDS = 60.0
"""A connection that was not used for so long is closed, at the next push over another one."""

_allocate_lock: Callable[[], Any] = original("_thread", "allocate_lock")


class ProducerSlot:
    """What one push at a time uses: a slot in Redis, the number of the last push in it, and a
    connection, None while that is not known to be in step."""

    __slots__ = ("_pool", "key", "line", "number", "sent", "slot", "used")

    def __init__(self, pool: Pool, key: str, slot: int) -> None:
        self._pool = ref(pool)
        self.key = key
        self.slot = slot
        self.number = 0
        self.line: RawConnection | None = None
        self.used = 0.0
        self.sent = False
        """All of a command that pushes went out."""

    def __del__(self) -> None:
        """A kill can strike between any two instructions, so a lane may be lost on its way."""
        pool = self._pool()
        if pool is not None:
            pool.replace_lost()


class ProducerSlots:
    """The lanes of one process, under a name of their own, by the hub they belong to."""

    def __init__(self, keys: Keys) -> None:
        self.pid = os.getpid()
        self._thread, self._get_hub, self._turn = _place_and_turn()
        self._pools: dict[int, Pool] = {}
        self._key = keys.producer(os.urandom(16).hex())
        self._slots = count()

    def pool(self) -> Pool:
        thread, hub = self._thread(), self._get_hub()
        pool = self._pools.get(thread)
        if pool is None:
            pool = self._pools.setdefault(thread, Pool(self._key, self._slots, self._turn, hub))
        elif pool.hub() is not hub:  # the thread has ended, and another one got its number
            pool.move_to(hub)
        return pool

    def close(self) -> None:
        for pool in list(self._pools.values()):
            pool.close_idle(0.0)


class Turn:
    """One that waits for a lane: what it waits for is put here before it is woken."""

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


class HubTurn(Turn):
    """That of a greenlet: a lock costs more than the rest of the wait."""

    __slots__ = ("_waiter",)

    def __init__(self) -> None:
        from gevent.hub import Waiter

        self.since = time.monotonic()
        self.producer_slot = None
        self.error = None
        self._waiter: Any = Waiter()

    def wait(self) -> None:
        self._waiter.get()

    def wake(self) -> None:
        self._waiter.hub.loop.run_callback(self._waiter.switch, None)


def _no_hub() -> None:
    """Without gevent's patches."""


def _weakly(hub: Any) -> Callable[[], Any]:
    """A pool must not keep the hub of a thread that has ended."""
    return _no_hub if hub is None else ref(hub)


class Pool:
    """The lanes of one hub: at most MOST_LANES pushes are under way, others wait, in order.

    Without locks of its own: each step is a single operation of a deque, and who hands over looks
    again afterwards. So neither threads nor a kill in the middle can leave it in disorder.
    """

    def __init__(
        self,
        key: str,
        slots: count[int],
        turn: Callable[[], Turn],
        hub: Any,
    ) -> None:
        self.hub = _weakly(hub)
        self._key = key
        self._slots = slots
        self._turn = turn
        self._free = deque(self._another() for _ in range(MOST_LANES))
        self._waiting: deque[Turn] = deque()
        self._look_for_idle_at = 0.0
        self.done_at = 0.0
        """When a push last ended well."""

    def take(self) -> ProducerSlot:
        """A free lane, the one that was used last. When there is none it waits for one. Raises
        redis-py's error when those that have one get nowhere (see `give_up`)."""
        if not self._waiting:
            try:
                return self._free.pop()
            except IndexError:
                pass
        turn = self._turn()
        self._waiting.append(turn)
        self._hand_over()
        try:
            turn.wait()
        except BaseException:
            self._withdraw(turn)
            raise
        if turn.producer_slot is None:
            assert turn.error is not None
            raise turn.error.with_traceback(None)  # others raise the same one
        return turn.producer_slot

    def give_back(self, producer_slot: ProducerSlot) -> None:
        self._free.append(producer_slot)
        if self._waiting:
            self._hand_over()
        elif producer_slot.used > self._look_for_idle_at:
            self._look_for_idle_at = producer_slot.used + IDLE_SECONDS
            self.close_idle(producer_slot.used - IDLE_SECONDS)

    def give_up(self, error: Exception, patience_seconds: float) -> None:
        """Called with an error that is waited out: those who have waited for so long, while nobody
        got on, wait no longer."""
        waited_since = time.monotonic() - patience_seconds
        with suppress(IndexError):  # nobody waits, or another thread was faster
            while max(self._waiting[0].since, self.done_at) < waited_since:
                turn = self._waiting.popleft()
                turn.error = error
                turn.wake()

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
            if producer_slot.line is not None and (not since or producer_slot.used < since):
                line, producer_slot.line = producer_slot.line, None
                line.close()
            self._free.append(producer_slot)
        self._hand_over()

    def move_to(self, hub: Any) -> None:
        """The hub turns no more: its connections are closed, who waited is gone with it. The lanes
        stay: each new one would take a slot in Redis."""
        self.hub = _weakly(hub)
        self._waiting.clear()
        for producer_slot in list(self._free):
            line, producer_slot.line = producer_slot.line, None
            if line is not None:
                with suppress(Exception):  # of gevent, where the loop is destroyed
                    line.close()
        while len(self._free) < MOST_LANES:
            self._free.append(self._another())

    def _another(self) -> ProducerSlot:
        return ProducerSlot(self, self._key, next(self._slots))

    def _hand_over(self) -> None:
        """Give free lanes to those who wait, the first one first."""
        while self._waiting and self._free:
            try:
                producer_slot = self._free.pop()
            except IndexError:
                return
            try:
                turn = self._waiting.popleft()
            except IndexError:
                self._free.append(producer_slot)
                continue
            turn.producer_slot = producer_slot
            turn.wake()

    def _withdraw(self, turn: Turn) -> None:
        try:
            self._waiting.remove(turn)
        except (ValueError, IndexError):
            if turn.producer_slot is not None:
                self.give_back(turn.producer_slot)


def _place_and_turn() -> tuple[Callable[[], int], Callable[[], Any], Callable[[], Turn]]:
    """Under gevent's patches a socket belongs to the hub of the native thread that opened it, and
    no other may wait on it; else threads may pass their connections on. With it the way to wait."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("socket"):
        from gevent import get_hub

        return original("_thread", "get_ident"), get_hub, HubTurn
    return lambda: 0, _no_hub, Turn
