"""Slots of a producer: the few connections over which a process pushes, and the queue for them."""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import count, repeat, starmap
from typing import Any, NamedTuple
from weakref import ref

from gresque.connection.raw import RawConnection
from gresque.store.joined import MOST_JOINED, Joined
from gresque.store.keys import Keys
from gresque.store.waiters import Waiter, hubs, no_hub

MOST_SLOTS = 16
"""Slots of a process, or of a native thread of it under gevent. A server runs one push after the
other: more connections than keep it busy make nothing faster, and it has 10,000 for all."""

JOINING_SLOTS = 8
"""Those of them for pushes that may be joined. As many at a time go without waiting, as if there
were no joining; with fewer slots more would be joined, and wait."""

IDLE_SECONDS = 60.0
"""A connection that was not used for this time is closed, at the next push over another one."""


class ProducerSlot:
    """Used by one push at a time: a slot in Redis, the number of the last push in it, and a
    connection, None while that is not known to be in step.

    A push may take others along. When it is killed, one of these goes on with the call: under the
    same number, as it may have been done.
    """

    __slots__ = (
        "_pool", "call", "connection", "joined", "key", "number", "renewed", "sent", "slot",
        "until", "used",
    )  # fmt: skip

    def __init__(self, pool: Pool, key: str, slot: int) -> None:
        self._pool = ref(pool)
        self.key = key
        self.slot = slot
        self.number = 0
        self.connection: RawConnection | None = None
        self.used = 0.0
        self.until = 0.0
        """When the push that is under way stops waiting for replicas."""
        self.renewed = -math.inf
        """When a push last renewed the expiry."""
        self.sent = False
        """All of a command that pushes went out."""
        self.joined: list[Waiter] = []
        """The pushes that the one which has the slot takes along."""
        self.call: Joined | None = None
        """What is under way under `number`, while it is of several pushes."""

    def __del__(self) -> None:
        """A kill can strike between any two instructions, so a slot can get lost on its way."""
        pool = self._pool()
        if pool is not None:
            pool.replace(self)


class Pools(NamedTuple):
    """The slots of one hub. A push that takes long, as a bulk does, holds up none that is short."""

    joining: Pool
    """For pushes that may be joined."""
    alone: Pool


class ProducerSlots:
    """The slots of one process, under one key, by the hub to which they belong."""

    def __init__(self, keys: Keys, waiter: type[Waiter] | None = None) -> None:
        """`waiter` is that of an event loop, in whose thread alone the slots are used then."""
        self.pid = os.getpid()
        self._thread, self._get_hub, self._waiter = hubs(waiter)
        self._pools: dict[int, Pools] = {}
        self._key = keys.producer(os.urandom(16).hex())
        self._numbers = count()

    def pools(self) -> Pools:
        thread, hub = self._thread(), self._get_hub()
        pools = self._pools.get(thread)
        if pools is None:
            made = Pools(
                self._pool(JOINING_SLOTS, hub), self._pool(MOST_SLOTS - JOINING_SLOTS, hub)
            )
            pools = self._pools.setdefault(thread, made)
        elif pools.alone.hub() is not hub:  # the thread has ended, and another one got its number
            for pool in pools:
                pool.move_to(hub)
        return pools

    def close(self) -> None:
        for pools in list(self._pools.values()):
            for pool in pools:
                pool.close_idle(0.0)

    def _pool(self, most: int, hub: Any) -> Pool:
        return Pool(most, self._key, self._numbers, self._waiter, hub)


def _weakly(hub: Any) -> Callable[[], Any]:
    """A pool must not keep the hub of a thread that has ended."""
    return no_hub if hub is None else ref(hub)


class Pool:
    """Some slots of one hub: as many pushes are under way, others wait, in order.

    It has no lock: each step is a single operation of a deque, and after it has handed over a slot
    it looks again. So neither threads nor a kill in the middle can leave it in disorder.
    """

    def __init__(
        self, most: int, key: str, numbers: count[int], waiter: type[Waiter], hub: Any
    ) -> None:
        self.hub = _weakly(hub)
        self.waiter = waiter
        self._most = most
        self._key = key
        self._numbers = numbers
        self._free = deque(self._another() for _ in range(most))
        self._waiting: deque[Waiter] = deque()
        self._look_for_idle_at = 0.0
        self.done_at = 0.0
        """When a push last succeeded."""

    def free(self) -> ProducerSlot | None:
        """The free slot that was used last; None where a push has to wait for one."""
        if not self._waiting:
            try:
                return self._free.pop()
            except IndexError:
                pass
        return None

    def take(self) -> ProducerSlot:
        """A slot for a push that goes alone; without a free one it waits. Raises redis-py's error
        when the pushes that have one do not succeed (see `give_up`)."""
        return self.free() or self.wait(self.waiter())  # type: ignore[return-value]

    def wait(self, waiter: Waiter) -> ProducerSlot | None:
        """Wait for a slot; None where another push has taken this one along. Raises the error with
        which it ended."""
        self._waiting.append(waiter)
        self._hand_over()
        try:
            waiter.wait()
        except BaseException:
            self._withdraw(waiter)
            raise
        if waiter.error is not None:
            raise waiter.error.with_traceback(None)  # others raise the same one
        return waiter.producer_slot

    def join(self, producer_slot: ProducerSlot) -> None:
        """Let the push that has this slot take along what waits now."""
        most = min(len(self._waiting), MOST_JOINED - 1)
        with suppress(IndexError):  # another thread was faster
            # In one step: a kill between the two ends would lose a push.
            producer_slot.joined.extend(starmap(self._waiting.popleft, repeat((), most)))

    def settle(
        self,
        producer_slot: ProducerSlot,
        are_apart: Callable[[str], bool],
        error: Callable[[str], Exception] | None = None,
    ) -> None:
        """The pushes that were taken along have ended: with an error by their queue, or without
        one; those that `are_apart` by their queue are to be pushed alone."""
        for waiter in producer_slot.joined:
            if not waiter.settled:
                waiter.apart = are_apart(waiter.queue)
                waiter.error = None if error is None else error(waiter.queue)
                waiter.wake()
                waiter.settled = True
        producer_slot.joined.clear()
        producer_slot.call = None

    def give_back(self, producer_slot: ProducerSlot) -> None:
        """A push has done with its slot. Where it was killed before those that it took along have
        ended, one of them goes on."""
        while producer_slot.joined:
            heir = producer_slot.joined.pop(0)
            if not (heir.gone or heir.settled):
                heir.producer_slot = producer_slot
                heir.wake()
                return
        producer_slot.call = None
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

    def replace(self, lost: ProducerSlot) -> None:
        """Make up for a slot that got lost, with the pushes that were taken along in it."""
        another = self._another()
        if lost.joined:
            another.slot, another.number, another.sent = lost.slot, lost.number, lost.sent
            another.joined, another.call = lost.joined, lost.call
            self.give_back(another)
        else:
            self._free.appendleft(another)
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
        while len(self._free) < self._most:
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
        waiter.gone = True
        try:
            self._waiting.remove(waiter)
        except (ValueError, IndexError):
            if waiter.producer_slot is not None:
                self.give_back(waiter.producer_slot)
