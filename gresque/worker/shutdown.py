"""Until when a worker process that was terminated may still do something."""

from __future__ import annotations

import time

from gevent import sleep


class Shutdown:
    """Nothing is limited until `begin`."""

    def __init__(self) -> None:
        self._until: float | None = None

    @property
    def has_begun(self) -> bool:
        return self._until is not None

    def begin(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def seconds_left(self, most: float) -> float:
        """At most `most`; may be negative."""
        return most if self._until is None else min(self._until - time.monotonic(), most)

    def sleep(self, seconds: float) -> bool:
        """Sleep, as between two tries in an outage; False as soon as no time is left."""
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            if self._until is not None and now >= self._until:
                return False
            sleep(min(until - now, 0.1))  # the shutdown may begin meanwhile
        return True
