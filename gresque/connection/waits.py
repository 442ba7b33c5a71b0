"""How a program waits for Redis: by blocking, or in a way of its own."""

from __future__ import annotations

import time
from typing import Any


class Waits:
    """The waits of a program that blocks. Under gevent's patches the same calls let other greenlets
    run. An event loop has waits of its own, see `gresque.aio.waits`."""

    waiter: Any = None
    """A class of `producer_slots.Waiter`; None for the one that fits the program."""

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def connection_class(self, plain: Any) -> Any:
        """A class of redis-py's connections, or one made of it."""
        return plain


BLOCKING = Waits()
