"""A pooled client of redis-py, for all but the turns of a worker and the pushes of a producer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from typing import Any

import redis
from redis.connection import AbstractConnection, SSLConnection
from redis.exceptions import NoPermissionError, ResponseError

from gresque.connection.errors import means_not_here, without_arguments
from gresque.connection.opening import Opener
from gresque.connection.waits import BLOCKING, Waits
from gresque.forked import own_those_of


def open_client(
    url: str, namespace: str, waits: Waits = BLOCKING, reply_seconds: float | None = None
) -> redis.Redis:
    """A client with a pool of connections. Greenlets and threads may share it. A reply may take
    `reply_seconds`, by default as long as the topology allows, unless the URL sets a limit. Raises
    SettingsError for a URL with a fault; opens no connection yet."""
    opener = Opener(url, namespace, waits)
    # The default pool raises at 100 connections; 1,000 greenlets may enqueue at once.
    pool = _Pool(
        connection_class=_pooled(opener.connection_class),
        max_connections=2**31,
        protocol=2,
        **{"socket_timeout": reply_seconds or opener.reply_seconds, **opener.options},
    )
    own_those_of(pool, _descriptors)
    return redis.Redis.from_pool(pool)


def _descriptors(pool: Any) -> Iterator[int]:
    for connection in (*pool._available_connections, *pool._in_use_connections):
        if (open_socket := connection._get_socket()) is not None:
            yield open_socket.fileno()


class _Pooled(AbstractConnection):
    """A connection that notes when the server has said that it is the wrong one."""

    not_here = False

    def connect(self) -> None:
        connect: Callable[[], None] = super().connect
        is_new = not self.is_connected
        try:
            connect()
            if is_new and isinstance(self, SSLConnection):
                self._read_tickets()
        except ResponseError as error:
            without_arguments(error)
            raise

    def _read_tickets(self) -> None:
        """A server that speaks TLS 1.3 sends something after the handshake, which the pool takes
        for a reply to no command. It is read with the next reply."""
        ping: Callable[[str], None] = self.send_command
        with suppress(NoPermissionError):
            ping("PING")
            self.read_response()

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().read_response(*args, **kwargs)
        except ResponseError as error:
            self.not_here = self.not_here or means_not_here(error)
            raise


class _Pool(redis.ConnectionPool):
    """Closes such a connection: the next call opens a new one, which follows a name that moved.

    It is closed when it comes back to the pool. Before that the other replies of a pipeline are
    still to be read.
    """

    def release(self, connection: Any) -> None:
        if connection.not_here:
            connection.not_here = False
            connection.disconnect()
        super().release(connection)


@cache
def _pooled(connection_class: Any) -> type[AbstractConnection]:
    return type(f"Pooled{connection_class.__name__}", (_Pooled, connection_class), {})
