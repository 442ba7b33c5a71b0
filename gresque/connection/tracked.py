"""A connection to which the server announces changes of keys that were read on it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import redis
from gevent._hub_local import get_hub_if_exists
from gevent.resolver.blocking import Resolver
from gevent.socket import wait_read
from redis.connection import AbstractConnection
from redis.exceptions import AuthenticationError, NoScriptError, ResponseError

from gresque.connection.opening import (
    FIRST_REPLY_SECONDS,
    REPLY_SECONDS,
    Prepared,
    open_raw,
    prepare,
)
from gresque.connection.raw import RawConnection
from gresque.connection.scripts import Script
from gresque.errors import RedisUnavailable

CALM_SECONDS = 60.0
"""So long after the last such reply a connection is as impatient again as it was."""

_prepared: dict[str, Prepared] = {}


def prepare_ahead(url: str) -> None:
    """Do ahead what the first TrackedConnection to this URL needs.

    In a master: its worker processes then find it done, which saves one that lives for a single
    job a tenth of its life."""
    _prepared[url] = prepare(url)


@contextmanager
def _names_looked_up_here() -> Iterator[None]:
    """The lookup of a host's name blocks the process, for the first connection of one: nothing else
    runs yet. gevent's own starts a pool of threads for it, 9 ms in a process that may live for one
    job. Never later, when a lookup may hang."""
    hub = get_hub_if_exists()
    if hub is None:
        yield
        return
    hub.resolver = Resolver()
    try:
        yield
    finally:
        hub.resolver = None


class TrackedConnection:
    """One connection without a pool: the caller sends, reads, and hears the server's pushes.

    Its `tracking` is True where the server announces changes of keys that were read (RESP3
    CLIENT TRACKING); old servers and some proxies refuse that.
    """

    def __init__(self, url: str) -> None:
        prepared = _prepared.pop(url) if url in _prepared else prepare(url)
        self._class, self._options = prepared[:2]
        self._fresh: AbstractConnection | None = prepared[2]
        self._limit: float | None = self._options.get("socket_timeout")
        self._reply_seconds = FIRST_REPLY_SECONDS
        self._calm_from = 0.0
        self._line: RawConnection | None = None
        self._connected_before = False
        self.tracking = False
        self.invalidated: list[bytes | None] = []
        """Keys that the server announced as changed; None stands for all of them."""

    def connect(self, reply_seconds: float = FIRST_REPLY_SECONDS) -> None:
        """Connect anew; each reply of the server's to that may take so long. Raises
        RedisUnavailable."""
        self.close()
        try:
            self._line = self._open(3, reply_seconds)
        except AuthenticationError as error:
            raise RedisUnavailable(f"Redis refused the password: {error}") from error
        except ResponseError:  # a server from before RESP3
            self._line = self._open(2, reply_seconds)
        self._line.wait_for(self._limit or self._reply_seconds)
        self.tracking = False
        self.invalidated.clear()
        try:
            self.call(b"CLIENT", b"TRACKING", b"ON", b"NOLOOP")
            self.tracking = True
        except ResponseError:
            pass  # told by `tracking`; the worker polls instead

    def _open(self, protocol: int, reply_seconds: float) -> RawConnection:
        fresh, self._fresh = self._fresh, None
        connection: Any = fresh or self._class(protocol=protocol, **self._options)
        connection.pid = os.getpid()  # it may have been made by the master
        connection.socket_timeout = self._limit or reply_seconds
        first, self._connected_before = not self._connected_before, True
        with _names_looked_up_here() if first else nullcontext():
            return open_raw(connection, self._on_push)

    def _on_push(self, push: list[Any]) -> None:
        if push[0] == b"invalidate":
            self.invalidated.extend(push[1] or [None])

    def call(self, *command: Any) -> Any:
        """Send one command and return its reply. Raises redis-py's errors."""
        line = self._live()
        self._send(line, *command)
        return self._read(line)

    def run(self, script: Script, keys: int, *arguments: Any) -> Any:
        """Run a script, with EVAL when the server does not know it yet."""
        line = self._live()
        try:
            self._send(line, b"EVALSHA", script.sha, keys, *arguments)
            return self._read(line)
        except NoScriptError:
            return self.call(b"EVAL", script.text, keys, *arguments)

    def _send(self, line: RawConnection, *command: Any) -> None:
        try:
            line.send(*command)
        except redis.TimeoutError:
            self._be_more_patient()
            raise

    def _read(self, line: RawConnection) -> Any:
        if self._calm_from and time.monotonic() > self._calm_from:
            self._calm_from, self._reply_seconds = 0.0, FIRST_REPLY_SECONDS
            line.wait_for(self._limit or self._reply_seconds)
        try:
            return line.read()
        except redis.TimeoutError:
            self._be_more_patient()
            raise

    def _be_more_patient(self) -> None:
        self._reply_seconds = min(2 * self._reply_seconds, REPLY_SECONDS)
        self._calm_from = time.monotonic() + CALM_SECONDS

    def hear(self) -> bool:
        """Take in the pushes that have arrived, without waiting; True when a key was announced."""
        self._live().hear()
        return bool(self.invalidated)

    def something_arrived(self) -> bool:
        """Whether there is something to hear, and be it that the server has hung up."""
        return bool(self.invalidated) or self._live().something_arrived()

    def wait(self, seconds: float) -> bool:
        """Wait for a push, or so many seconds; True when a key was announced as changed."""
        if not self.hear():
            with suppress(TimeoutError):
                wait_read(self.fileno(), seconds, TimeoutError())
        return self.hear()

    def fileno(self) -> int:
        """The socket's descriptor, to wait on while no reply is due."""
        return self._live().fileno()

    @property
    def reply_bytes(self) -> int:
        """How large the last reply was."""
        return 0 if self._line is None else self._line.reply_bytes

    def _live(self) -> RawConnection:
        if self._line is None or self._line.closed:
            raise redis.ConnectionError("not connected")
        return self._line

    def close(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None
