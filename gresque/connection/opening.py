"""How connections are opened. All three shapes of them are opened here: raw (one at a time, for
pushes), tracked (the server announces changed keys) and pooled (redis-py's client)."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import hiredis
import redis
from redis.connection import AbstractConnection, Connection, parse_url
from redis.exceptions import NoPermissionError, RedisError, ResponseError

from gresque.connection.dialling import placed, safe_options, url_options
from gresque.connection.errors import without_arguments
from gresque.connection.raw import RawConnection
from gresque.connection.topology import Single, Topology, topology_of
from gresque.connection.urls import Endpoint, endpoint, mask
from gresque.connection.waits import BLOCKING, Waits
from gresque.errors import SettingsError

CONNECT_SECONDS = 5.0
REPLY_SECONDS = 30.0
"""How long a reply may take before the connection counts as broken, for a call that cannot be sent
again. Far above a slow server's replies."""
FIRST_REPLY_SECONDS = 5.0
"""The same for a call that can be sent again, a turn or a push: a server that hangs, or that has
been replaced by another one, is left soon. When the call that is sent again takes too long as well,
the server may be slow: it is given twice the time, up to REPLY_SECONDS."""
FAILOVER_REPLY_SECONDS = 5.0
"""In place of REPLY_SECONDS where another server takes over from one that hangs."""


class Opener:
    """Opens connections to the server that holds a namespace, by its URL.

    Making one checks the URL and its options and opens nothing. Raises SettingsError.
    """

    def __init__(self, url: str, namespace: str, waits: Waits = BLOCKING) -> None:
        topology, at = topology_of(url, namespace), endpoint(url)
        self.place = at.place
        """Where the server is, for messages."""
        plain, self.options = _class_and_options(topology, at, url)
        """Options of redis-py's connections."""
        self.connection_class = waits.connection_class(plain)
        self.reply_seconds = FAILOVER_REPLY_SECONDS if at.fails_over else REPLY_SECONDS
        """The longest that a reply may take, without a wish of the user's."""
        self.limit_seconds: float | None = self.options.get("socket_timeout")
        """How long a reply may take by the user's wish; None without one."""
        self._selects = bool(self.options.get("db"))
        self._handshake = _handshake(self.options)
        try:
            self._first: AbstractConnection | None = self._make(3)
        except (RedisError, TypeError, ValueError) as error:
            message = str(error).removeprefix("AbstractConnection.__init__() ")
            raise SettingsError(f"Redis URL of {at.place}: {message}") from error

    def open(self, reply_seconds: float, connect_seconds: float | None = None) -> RawConnection:
        """Connect. Each reply of the server may take `reply_seconds`, and the way to it
        `connect_seconds`, unless the user has set a limit. Raises redis-py's errors."""
        connection = self._make(2)
        connection.socket_timeout = self.limit_seconds or reply_seconds
        if connect_seconds is not None and isinstance(connection, Connection):
            connection.socket_connect_timeout = min(
                connect_seconds, connection.socket_connect_timeout or connect_seconds
            )
        try:
            connection.connect()
        except ResponseError as error:
            connection.disconnect()
            without_arguments(error)
            raise
        except BaseException:
            connection.disconnect()
            raise
        return RawConnection(connection)

    def open_tracked(
        self, reply_seconds: float, on_push: Callable[[list[Any]], None]
    ) -> tuple[RawConnection, bool]:
        """As `open`, by RESP3, and have the server announce changes of keys that are read; False
        where it refuses that.

        redis-py opens the socket. Its handshake takes a trip for each command and a millisecond of
        CPU in a process that has just been forked: here all of it is one packet.
        """
        first, self._first = self._first, None
        connection: Any = first if first is not None else self._make(3)
        connection.pid = os.getpid()  # a master may have made it for the process it forked
        connection.socket_timeout = self.limit_seconds or reply_seconds
        try:
            connection._sock = connection._connect()
        except TimeoutError as error:
            raise redis.TimeoutError("Timeout connecting to server") from error
        except OSError as error:
            raise redis.ConnectionError(connection._error_message(error)) from error
        raw = RawConnection(connection, on_push)
        try:
            return raw, self._shake_hands(raw)
        except BaseException:
            raw.close()
            raise

    def _shake_hands(self, raw: RawConnection) -> bool:
        """Whether the server announces changes of keys."""
        raw.send_first(self._handshake)
        reply = raw.read()
        if not isinstance(reply, dict) or reply.get(b"proto") != 3:
            raise redis.ConnectionError("the server does not speak RESP3")
        if self._selects:
            raw.read()
        try:
            raw.read()
        except ResponseError as error:
            if raw.closed:  # the server cannot serve anything now
                raise redis.ConnectionError(str(error)) from error
            return False
        return True

    def open_ready(
        self, reply_seconds: float, opening_seconds: float | None = None
    ) -> RawConnection:
        """Connect to a server that then takes commands: one that is loading or full says so before
        anything that matters is sent to it. `opening_seconds` is how long each step of that may
        take, None: as long as the first reply. Raises redis-py's errors."""
        raw = self.open(opening_seconds or FIRST_REPLY_SECONDS, opening_seconds)
        try:
            with suppress(NoPermissionError):
                raw.ping()
        except BaseException:
            raw.close()
            raise
        self.set_limit(raw, reply_seconds)
        return raw

    def set_limit(self, raw: RawConnection, reply_seconds: float) -> None:
        """Each following reply may take `reply_seconds`, unless the user has set a limit."""
        raw.set_reply_seconds(self.limit_seconds or reply_seconds)

    def dialler(self) -> Any:
        """What opens sockets to the servers of a URL with several hosts: a `search.Dialler`."""
        return self._make(2)

    def _make(self, protocol: int) -> AbstractConnection:
        made: AbstractConnection = self.connection_class(protocol=protocol, **self.options)
        return made


def _handshake(options: dict[str, Any]) -> bytes:
    """The commands that begin a tracked connection."""
    user, password = options.get("username"), options.get("password")
    hello: list[Any] = [b"HELLO", 3]
    if user or password:
        hello += [b"AUTH", user or b"default", password or b""]
    if name := options.get("client_name"):
        hello += [b"SETNAME", name]
    commands = [hello, *([[b"SELECT", options["db"]]] if options.get("db") else [])]
    commands.append([b"CLIENT", b"TRACKING", b"ON", b"NOLOOP"])
    return b"".join(hiredis.pack_command(tuple(command)) for command in commands)


def _class_and_options(topology: Topology, at: Endpoint, url: str) -> tuple[Any, dict[str, Any]]:
    """A class of redis-py's connections, and what they are made with."""
    try:
        if isinstance(topology, Single):
            options = parse_url(topology.resolve())
            plain: Any = options.pop("connection_class", Connection)
        else:
            options = url_options(at, tls=at.tls)
            plain = placed(options.pop("connection_class", Connection), topology, at)
            options |= {"username": at.username or None, "password": at.password or None}
            options["db"] = at.db
    except ValueError as error:
        raise SettingsError(f"Redis URL {mask(url)!r}: {error}") from None
    return plain, {**safe_options(), "socket_connect_timeout": CONNECT_SECONDS, **options}
