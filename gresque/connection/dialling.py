"""Opening the sockets of servers that fail over, by the means of redis-py."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

import hiredis
import redis
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection, Connection, parse_url
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from gresque.connection.errors import of_reply
from gresque.connection.one_slot import OneSlot
from gresque.connection.search import NoServer, Refusal
from gresque.connection.sentinels import Sentinels
from gresque.connection.urls import Address, Endpoint

READ_BYTES = 4096
_LEAST_SECONDS = 0.001
_MORE_TO_COME = object()


def safe_options() -> dict[str, Any]:
    """Every default of redis-py's connections that could lose, double or stall a job is set on
    purpose."""
    return {
        # A silent retry of a push doubles a job, and of a pop loses one: each caller that can
        # repeat a call safely does it above this layer.
        "retry": Retry(NoBackoff(), 0),
        "driver_info": None,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }


class SocketLine:
    """A socket that was just connected; see `search.Line`."""

    def __init__(self, connected: Any, until: float | None, login: list[str]) -> None:
        """`until`: when the last reply must be there, on the monotonic clock."""
        self.socket = connected
        self._until = until
        self._login = login
        """AUTH and its arguments, which the first command brings along; empty when there is none
        to send."""
        self._reader = hiredis.Reader(
            protocolError=redis.InvalidResponse, replyError=Refusal, notEnoughData=_MORE_TO_COME
        )

    def ask(self, *command: str) -> Any:
        login, self._login = self._login, []
        try:
            self.socket.sendall(b"".join(_packed(each) for each in (login, command) if each))
            if login:
                self._read()
            return self._read()
        except RedisError as error:  # what answers is no Redis
            raise OSError(str(error)) from error

    def _read(self) -> Any:
        while (reply := self._reader.gets()) is _MORE_TO_COME:
            if self._until is not None:
                left = self._until - time.monotonic()
                self.socket.settimeout(max(left, _LEAST_SECONDS))
            data = self.socket.recv(READ_BYTES)
            if not data:
                raise ConnectionResetError("the server closed the connection")
            self._reader.feed(data)
        if isinstance(reply, Refusal):
            raise reply
        return reply

    def close(self) -> None:
        self.socket.close()


class _Placed(AbstractConnection):
    """A connection of redis-py that asks its topology for the server when it is opened."""

    topology: Sentinels | OneSlot
    login: list[str]
    of_sentinels: _OfSentinels
    host: str
    port: int
    socket_timeout: float | None
    socket_connect_timeout: float | None

    def _connect(self) -> Any:
        try:
            line = self.topology.find(self)
        except NoServer as error:
            raise redis.ConnectionError(str(error)) from None
        except Refusal as error:
            raise of_reply(str(error)) from None
        assert isinstance(line, SocketLine)
        line.socket.settimeout(self.socket_timeout)
        return line.socket

    def data(self, address: Address, seconds: float | None = None) -> SocketLine:
        """See `search.Dialler`."""
        self.host, self.port = address
        until = None if seconds is None else time.monotonic() + seconds
        limits = self.socket_connect_timeout, self.socket_timeout
        if seconds is not None:
            self.socket_connect_timeout = min(limits[0] or seconds, seconds)
            self.socket_timeout = min(limits[1] or seconds, seconds)
        try:
            # That of the class into which this one is mixed.
            connected = super()._connect()  # type: ignore[safe-super,no-untyped-call]
        finally:
            self.socket_connect_timeout, self.socket_timeout = limits
        return SocketLine(connected, until, self.login)

    def sentinel(self, address: Address, seconds: float) -> SocketLine:
        """See `search.Dialler`."""
        until = time.monotonic() + seconds
        options = {**self.of_sentinels.options, "host": address[0], "port": address[1]}
        limits = {"socket_connect_timeout": seconds, "socket_timeout": seconds}
        opening: Any = self.of_sentinels.plain(**options, **limits)
        return SocketLine(opening._connect(), until, self.of_sentinels.login)


class _OfSentinels(NamedTuple):
    """How connections to Sentinels are made."""

    plain: Any
    options: dict[str, Any]
    login: list[str]


def placed(plain: Any, topology: Sentinels | OneSlot, at: Endpoint) -> type[AbstractConnection]:
    """A class of redis-py's connections, with the topology that each of them asks. Raises
    ValueError for an option that redis-py cannot read."""
    options = url_options(at, tls=at.sentinel_tls)
    options.pop("client_name", None)
    plain_of_sentinels = options.pop("connection_class", Connection)
    given = at.options.get
    login = _login(given("sentinel_username", ""), given("sentinel_password", ""))
    attributes = {
        "topology": topology,
        "login": _login(at.username, at.password),
        "of_sentinels": _OfSentinels(plain_of_sentinels, {**safe_options(), **options}, login),
    }
    return type(f"Placed{plain.__name__}", (_Placed, plain), attributes)


def url_options(at: Endpoint, *, tls: bool) -> dict[str, Any]:
    """The options of a URL for connections of redis-py, as that reads them. Raises ValueError."""
    given = {
        name: value
        for name, value in at.options.items()
        if not name.startswith("sentinel_") and (tls or not name.startswith("ssl_"))
    }
    options: dict[str, Any] = parse_url(f"redis{'s' if tls else ''}://host?{urlencode(given)}")
    del options["host"]
    return options


def _packed(command: Sequence[Any]) -> bytes:
    packed: bytes = hiredis.pack_command(tuple(command))
    return packed


def _login(user: str, password: str) -> list[str]:
    return ["AUTH", *([user] if user else []), password] if user or password else []
