"""What this process publishes of its running jobs: only what has changed since the last time."""

from __future__ import annotations

import time
from collections.abc import Callable

from gresque.connection.scripts import script
from gresque.connection.tracked import TrackedConnection
from gresque.store.commands import Running
from gresque.store.keys import Keys
from gresque.store.refusals import name_refused, pairs

RENEW_SECONDS = 10.0
EXPIRY_SECONDS = 25
"""Of what runs: two renewals may fail."""
WAITS_EXPIRY_SECONDS = 5


class RunningReport:
    """The text under `running:<process>`, as this process knows it.

    1. All that runs is said on a new connection, as another server may be there. What changes is
       appended, a line each time; of jobs that run on, nothing is said.
    2. Redis compares how long the text is. Where that is not what this process knows, the server
       has forgotten something, and all is said again.
    3. So it is when the lines are longer than all that runs, and when the server's clock was set.
    4. While nothing changes the expiry is renewed every 10 s.

    While a viewer looks it also publishes, every second, what the jobs wait on.
    """

    def __init__(
        self, keys: Keys, process_id: str, waits: Callable[[], bytes] | None = None
    ) -> None:
        self.is_watched = False
        """A viewer looks at what jobs wait on."""
        self._keys = keys
        self._running_key, self._waits_key = keys.running(process_id), keys.waits(process_id)
        self._waits = waits
        self._said = Running()
        """By the monotonic clock."""
        self._length: int | None = None
        """Of the text in Redis; None where that is not known."""
        self._whole_length = 0
        self._said_waits = b""
        self._renew_at = 0.0

    def forget(self) -> None:
        """Not known any more is what stands in Redis."""
        self._length, self._said_waits = None, b""

    def publish(self, connection: TrackedConnection, running: Running, ahead: float) -> None:
        """Say what has changed. The times of `running` are on the monotonic clock; `ahead` is how
        far the server's clock is ahead of that. Raises RedisError."""
        if self._length is None:
            self._say_all(connection, running, ahead)
        elif running or self._length:
            self._say_changes(connection, running, ahead)

    def _say_all(self, connection: TrackedConnection, running: Running, ahead: float) -> None:
        text = running.shifted(ahead).encode()
        self._send(connection, running, text, "")
        self._whole_length = len(text)

    def _say_changes(self, connection: TrackedConnection, running: Running, ahead: float) -> None:
        line = self._line(running, ahead)
        is_due = line or self._is_watched_now(running) or time.monotonic() >= self._renew_at
        # Without announcements a viewer is only found by asking.
        if not is_due and connection.tracking:
            return
        length = self._length or 0
        is_long = length + len(line) > 2 * self._whole_length
        if not running or is_long or not self._send(connection, running, line, length):
            self._say_all(connection, running, ahead)

    def _line(self, running: Running, ahead: float) -> bytes:
        change = running.since_then(self._said)
        return b"" if change is None else b"\n" + change.shifted(ahead).encode(always=True)

    def _is_watched_now(self, running: Running) -> bool:
        return self.is_watched and bool(running) and self._waits is not None

    def _send(
        self, connection: TrackedConnection, running: Running, text: bytes, after: int | str
    ) -> bool:
        """Append the text to one of `after` bytes; whether that was its length. Until there is an
        answer it is not known what stands there."""
        keys, waits, self._length = [self._running_key, self._keys.watch], b"", None
        if self._is_watched_now(running) and self._waits is not None:
            keys.append(self._waits_key)
            waits = self._waits()
        changed = b"" if waits == self._said_waits else waits
        length, watched, known, refused = connection.run(
            script("publish"), len(keys), *keys,
            text, after, EXPIRY_SECONDS, changed, WAITS_EXPIRY_SECONDS,
        )  # fmt: skip
        name_refused(self._keys, pairs(refused), "what its jobs wait on is not seen")
        if length < 0:
            return False
        self._length, self._said, self.is_watched = length, running, bool(watched)
        self._said_waits = waits if known else b""
        self._renew_at = time.monotonic() + RENEW_SECONDS
        return True
