"""From a URL to an open connection: the one way that all shapes of connections share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from redis.backoff import NoBackoff
from redis.connection import AbstractConnection, Connection, parse_url
from redis.exceptions import NoPermissionError, RedisError, ResponseError
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from gresque.connection.errors import without_arguments
from gresque.connection.raw import RawConnection
from gresque.connection.topology import place, resolve_url
from gresque.connection.urls import check, mask
from gresque.errors import SettingsError

CONNECT_SECONDS = 5.0
REPLY_SECONDS = 30.0
"""How long a reply may take before the connection counts as broken, for what cannot be sent again.
Far above a slow server's replies."""
FIRST_REPLY_SECONDS = 5.0
"""The same for what can be sent again, turns and pushes: a server that hangs, or one that another
has replaced, is left soon. When the call that is sent again takes too long as well, the server may
be slow: it is given twice the time, up to REPLY_SECONDS."""


class Prepared(NamedTuple):
    """What to open connections to a URL with."""

    connection_class: type[AbstractConnection]
    options: dict[str, Any]
    first: AbstractConnection
    """One that is not open yet: making it shows whether redis-py takes the options."""


def prepare(url: str) -> Prepared:
    """Check a URL and its options. Raises SettingsError."""
    options = _options(url)
    connection_class: type[AbstractConnection] = options.pop("connection_class", Connection)
    try:
        connection = connection_class(protocol=3, **options)
    except (RedisError, TypeError, ValueError) as error:
        told = str(error).removeprefix("AbstractConnection.__init__() ")
        raise SettingsError(f"Redis URL of {place(url)}: {told}") from error
    return Prepared(connection_class, options, connection)


def _options(url: str) -> dict[str, Any]:
    """Every default of redis-py that could lose, double or stall a job is set on purpose."""
    check(url)
    try:
        options = parse_url(resolve_url(url))
    except ValueError as error:
        raise SettingsError(f"Redis URL {mask(url)!r}: {error}") from None
    return {
        # A silent retry of a push doubles a job, and of a pop loses one: whoever can repeat a call
        # safely does it above this layer.
        "retry": Retry(NoBackoff(), 0),
        "socket_connect_timeout": CONNECT_SECONDS,
        "driver_info": None,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        **options,
    }


def open_raw(
    connection: AbstractConnection, *on_push: Callable[[list[Any]], None]
) -> RawConnection:
    """Connect. `on_push` gets what the server sends unasked. Raises redis-py's errors."""
    try:
        connection.connect()
    except ResponseError as error:
        connection.disconnect()
        without_arguments(error)
        raise
    except BaseException:
        connection.disconnect()
        raise
    return RawConnection(connection, *on_push)


class Connector:
    """Opens connections without a pool, to a server that then takes commands: one that is loading
    or full says so before anything that matters is sent to it."""

    def __init__(self, url: str) -> None:
        self._class, options, _ = prepare(url)
        self.is_patient = "socket_timeout" not in options
        """The user has set no limit for replies."""
        self._options = {"socket_timeout": FIRST_REPLY_SECONDS, **options}
        self._limit: float | None = options.get("socket_timeout")

    def __call__(self, reply_seconds: float) -> RawConnection:
        """A connection whose replies may then take so long, if the user has set no limit."""
        connection = self._class(protocol=2, **self._options)
        line = open_raw(connection)
        with suppress(OSError):  # one that is full has hung up, and has said so: that is to be read
            open_socket: Any = connection._get_socket()
            open_socket.sendall(b"PING\r\n")
        try:
            with suppress(NoPermissionError):
                line.read()
        except BaseException:
            line.close()
            raise
        self.set_limit(line, reply_seconds)
        return line

    def set_limit(self, line: RawConnection, reply_seconds: float) -> None:
        line.wait_for(self._limit or reply_seconds)
