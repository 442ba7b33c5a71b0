"""How a program waits for Redis: by blocking, or in a way of its own."""

from __future__ import annotations

import select
import threading
import time
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from gresque.connection.raw import RawConnection


class Event(Protocol):
    """As `threading.Event`."""

    def set(self) -> None: ...

    def clear(self) -> None: ...

    def wait(self, timeout: float | None = None) -> bool: ...


class Waits:
    """The waits of a program that blocks. Under gevent's patches the same calls let other greenlets
    run. An event loop has waits of its own, see `gresque.aio.waits`."""

    waiter: Any = None
    """A class of `waiters.Waiter`; None for the one that fits the program."""

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def until_readable(self, raw: RawConnection, seconds: float) -> None:
        """Wait until there is something to read, at most this long."""
        poller = select.poll()  # where gevent has patched it, others run meanwhile
        poller.register(raw.fileno(), select.POLLIN)
        poller.poll(1000 * seconds)

    def lock(self) -> AbstractContextManager[Any]:
        return threading.Lock()

    def event(self) -> Event:
        return threading.Event()

    def connection_class(self, plain: Any) -> Any:
        """A class of redis-py's connections, or one made of it."""
        return plain


BLOCKING = Waits()
