"""The next times in sorted sets of Redis, which the server announces."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import redis

from gresque.connection.tracked import TrackedConnection
from gresque.text import decoded

POLL_SECONDS = 1.0
"""How often it looks where the server does not announce changes."""
RESYNC_SECONDS = 30.0
"""How old its view may be: the server's clock may be set, and a connection may end unnoticed."""
SHORTEST_SECONDS = 0.02
"""Between two looks: thousands of jobs may be scheduled each second."""


class DueWatch:
    """Knows when the next entry of each of some ZSETs is due, by the server's clock.

    It reads the lowest scores on a connection on which the server announces changes of what was
    read. So it hardly sends anything while nothing changes, and notices an earlier entry at once:
    `fileno` becomes readable.
    """

    def __init__(
        self,
        redis_url: str,
        namespace: str,
        units: Mapping[str, float],
        hashes: Sequence[str] = (),
    ) -> None:
        """`units`: each key, and the seconds that 1 stands for in its scores. `hashes`: keys of
        which only changes are noticed."""
        self._connection = TrackedConnection(redis_url, namespace)
        self._units = units
        self._hashes = hashes
        self._changed = set[str]()
        self._is_open = False
        self._next: dict[str, float] = {}
        self._read_at = -math.inf

    @property
    def has_looked(self) -> bool:
        return self._is_open

    def next(self, key: str) -> float:
        """When the next entry was due at the last look, on the monotonic clock; infinity when there
        was none."""
        return self._next[key]

    def has_changed(self, key: str) -> bool:
        """Whether the key may have changed since `take_change`, as far as a look has shown."""
        return key in self._changed

    def take_change(self, key: str) -> bool:
        """As `has_changed`, once for each change."""
        if key not in self._changed:
            return False
        self._changed.discard(key)
        return True

    def left(self, now: float) -> float:
        """Seconds until the next look; 0 or less when the sets may have changed."""
        if not self._is_open:
            return 0.0
        since = now - self._read_at
        if self._has_news():
            return SHORTEST_SECONDS - since
        return (RESYNC_SECONDS if self._connection.tracking else POLL_SECONDS) - since

    def look(self) -> None:
        """Read the next times. Raises redis-py's errors."""
        try:
            self._look()
        except BaseException:
            self.close()
            raise

    def _look(self) -> None:
        connection = self._connection
        if not self._is_open:
            connection.connect()
            self._is_open = True
            self._changed |= {*self._units, *self._hashes}
        connection.hear()
        self._note_changes()
        connection.invalidated.clear()
        self._read_at = sent = time.monotonic()
        seconds, microseconds = connection.call(b"TIME")
        # The reply took up to the whole time: a job is looked for rather too early than too late.
        offset = sent - (int(seconds) + int(microseconds) / 1_000_000)
        self._next = {key: self._first(key) * unit + offset for key, unit in self._units.items()}
        for key in self._hashes:
            self._track(key)

    def _note_changes(self) -> None:
        changed = self._connection.invalidated
        if not self._connection.tracking or None in changed:
            self._changed |= {*self._units, *self._hashes}
        else:
            self._changed |= {decoded(key) for key in changed if key is not None}

    def _track(self, key: str) -> None:
        """Have the server announce the next change of a HASH."""
        try:
            self._connection.call(b"HLEN", key)
        except redis.ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise

    def _first(self, key: str) -> float:
        try:
            found: list[Any] = self._connection.call(b"ZRANGE", key, 0, 0, b"WITHSCORES")
        except redis.ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
            return math.inf  # the task that uses the key says so
        if not found:
            return math.inf
        first = found[0]
        return float(first[1] if isinstance(first, list) else found[1])

    def fileno(self, now: float) -> int | None:
        """The descriptor to wait on beside `left`; None while there is nothing to wait for."""
        if not self._is_open or (self._has_news() and self.left(now) > 0):
            return None
        return self._connection.fileno()

    def _has_news(self) -> bool:
        with suppress(redis.RedisError, OSError):
            return self._connection.something_arrived()
        return True  # the end of the connection, which the next look meets

    def close(self) -> None:
        self._is_open = False
        self._next = {}
        self._connection.close()
