"""How a push waits for others of its process: by threads, greenlets, or tasks of an event loop."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gresque.unpatched import original

if TYPE_CHECKING:
    from gresque.store.producer_slots import ProducerSlot

_allocate_lock: Callable[[], Any] = original("_thread", "allocate_lock")


class Waiter:
    """A push that waits for a slot, or for another push that takes it along. What comes of it is
    put here before it is woken."""

    __slots__ = (
        "_means", "apart", "error", "gone", "producer_slot", "queue", "raw", "settled", "since"
    )  # fmt: skip

    def __init__(self, queue: str = "", raw: bytes = b"") -> None:
        """`queue` and `raw`, its job, are those of a push that may be joined to others."""
        self.queue = queue
        self.raw = raw
        self.since = time.monotonic()
        self.producer_slot: ProducerSlot | None = None
        self.error: Exception | None = None
        self.apart = False
        """It was joined to others, and is to be pushed alone."""
        self.settled = False
        """Another push has done with it."""
        self.gone = False
        """It was killed."""
        self._means: Any = self._prepare()

    def _prepare(self) -> Any:
        lock = _allocate_lock()
        lock.acquire()
        return lock

    def wait(self) -> None:
        self._means.acquire()

    def wake(self) -> None:
        self._means.release()


class HubWaiter(Waiter):
    """That of a greenlet: a lock costs more than the rest of the wait."""

    __slots__ = ()

    def _prepare(self) -> Any:
        return sys.modules["gevent.hub"].Waiter()

    def wait(self) -> None:
        self._means.get()

    def wake(self) -> None:
        self._means.hub.loop.run_callback(self._means.switch, None)


def hubs(
    waiter: type[Waiter] | None = None,
) -> tuple[Callable[[], int], Callable[[], Any], type[Waiter]]:
    """How to name the native thread, find its hub, and wait. With `waiter`, that of an event loop,
    there is one thread.

    Under gevent's patches a socket belongs to the hub of the native thread that opened it, and no
    other may wait on it. Without them threads may pass their connections on. A program that uses
    gevent has loaded it: this module never does.
    """
    if waiter is not None:
        return lambda: 0, no_hub, waiter
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("socket"):
        return original("_thread", "get_ident"), sys.modules["gevent.hub"].get_hub, HubWaiter
    return lambda: 0, no_hub, Waiter


def no_hub() -> None:
    """Without gevent's patches."""
