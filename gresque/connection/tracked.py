"""A connection on which the server announces changes of keys that were read on it."""

from __future__ import annotations

import sys
import time
from typing import Any

import redis
from redis.exceptions import AuthenticationError, NoScriptError, ResponseError

from gresque.connection.errors import password_refused
from gresque.connection.opening import FIRST_REPLY_SECONDS, Opener
from gresque.connection.raw import RawConnection
from gresque.connection.scripts import Script
from gresque.errors import RedisUnavailable

CALM_SECONDS = 60.0
"""A connection that has waited longer for a slow server waits as short as at first again, when no
reply has taken too long for this time."""

_openers: dict[tuple[str, str], Opener] = {}


def prepare_ahead(url: str, namespace: str) -> None:
    """Do beforehand what the first TrackedConnection to this place needs.

    A master calls this, so that its worker processes find it done: it is a tenth of the life of one
    that lives for a single job."""
    _openers[url, namespace] = Opener(url, namespace)
    if "gevent" in sys.modules:
        import gevent.resolver.blocking  # noqa: F401


def _hub() -> Any:
    """The hub of this thread, if there is one: a program without gevent has none."""
    hub_local = sys.modules.get("gevent._hub_local")
    return hub_local.get_hub_if_exists() if hub_local is not None else None


class TrackedConnection:
    """One connection without a pool. Its user sends, reads, and is notified of changed keys.

    Its `tracking` is True where the server announces changes of keys that were read (RESP3
    CLIENT TRACKING); old servers and some proxies refuse that.
    """

    def __init__(self, url: str, namespace: str) -> None:
        prepared = _openers.pop((url, namespace), None)
        self._opener = prepared or Opener(url, namespace)
        self._reply_seconds = FIRST_REPLY_SECONDS
        self._calm_from = 0.0
        """When replies are to be as quick as at first again; 0 while they are."""
        self._raw: RawConnection | None = None
        self._connected_before = False
        self.tracking = False
        self.invalidated: list[bytes | None] = []
        """Keys that the server announced as changed; None stands for all of them."""

    def connect(self, reply_seconds: float = FIRST_REPLY_SECONDS) -> None:
        """Open a new connection; each reply of the server to that may take `reply_seconds`. Raises
        RedisUnavailable and redis-py's errors."""
        self.close()
        self.invalidated.clear()
        hub, self._connected_before = None if self._connected_before else _hub(), True
        if hub is None:
            self._raw, self.tracking = self._open(reply_seconds)
        else:
            # For the first connection the lookup of a host's name blocks the process: nothing else
            # runs yet, and gevent's own lookup starts a pool of threads, 9 ms in a process that may
            # live for one job. Later a lookup that hangs would hold up jobs.
            from gevent.resolver.blocking import Resolver

            hub.resolver = Resolver()
            try:
                self._raw, self.tracking = self._open(reply_seconds)
            finally:
                hub.resolver = None
        self._opener.set_limit(self._raw, self._reply_seconds)

    def _open(self, reply_seconds: float) -> tuple[RawConnection, bool]:
        try:
            return self._opener.open_tracked(reply_seconds, self._on_push)
        except AuthenticationError as error:
            raise password_refused(error) from error
        except ResponseError:  # a server from before RESP3, which announces nothing
            return self._opener.open(reply_seconds), False

    def _on_push(self, push: list[Any]) -> None:
        if push[0] == b"invalidate":
            self.invalidated.extend(push[1] or [None])

    def check_primary(self) -> None:
        """Raises RedisUnavailable for a replica. One that takes writes all the same loses them."""
        try:
            role = self.call(b"ROLE")[0]
        except ResponseError:  # no right to ask
            return
        if role != b"master":
            raise RedisUnavailable(
                f"{self._opener.place} is a replica: give the URL of the primary"
            )

    @property
    def longest_reply_seconds(self) -> float:
        """How long a reply may take at most before the server is left."""
        return self._opener.reply_seconds

    def call(self, *command: Any) -> Any:
        """Send one command and return its reply. Raises redis-py's errors."""
        raw = self._live()
        self._send(raw, *command)
        return self._read(raw)

    def run(self, script: Script, keys: int, *arguments: Any) -> Any:
        """Run a script, with EVAL when the server does not know it yet."""
        raw = self._live()
        try:
            self._send(raw, b"EVALSHA", script.sha, keys, *arguments)
            return self._read(raw)
        except NoScriptError:
            return self.call(b"EVAL", script.text, keys, *arguments)

    def _send(self, raw: RawConnection, *command: Any) -> None:
        try:
            raw.send(*command)
        except redis.TimeoutError:
            self._wait_longer()
            raise

    def _read(self, raw: RawConnection) -> Any:
        if self._calm_from and time.monotonic() > self._calm_from:
            self._calm_from, self._reply_seconds = 0.0, FIRST_REPLY_SECONDS
            self._opener.set_limit(raw, self._reply_seconds)
        try:
            return raw.read()
        except redis.TimeoutError:
            self._wait_longer()
            raise

    def _wait_longer(self) -> None:
        self._reply_seconds = min(2 * self._reply_seconds, self._opener.reply_seconds)
        self._calm_from = time.monotonic() + CALM_SECONDS

    def hear(self) -> bool:
        """Take in the announcements that have arrived, without waiting; True when there was a key
        in one."""
        self._live().hear()
        return bool(self.invalidated)

    def something_arrived(self) -> bool:
        """Whether there is something to take in, the end of the connection included."""
        return bool(self.invalidated) or self._live().something_arrived()

    def wait(self, seconds: float) -> bool:
        """Block the native thread until an announcement comes, at most this long; True when there
        was a key in one. For a thread without greenlets."""
        if not self.hear():
            self._live().wait(seconds)
        return self.hear()

    def fileno(self) -> int:
        """The socket's descriptor, to wait on while no reply is due."""
        return self._live().fileno()

    @property
    def reply_bytes(self) -> int:
        """Size of the last reply."""
        return 0 if self._raw is None else self._raw.reply_bytes

    def _live(self) -> RawConnection:
        if self._raw is None or self._raw.closed:
            raise redis.ConnectionError("not connected")
        return self._raw

    def close(self) -> None:
        if self._raw is not None:
            self._raw.close()
            self._raw = None
