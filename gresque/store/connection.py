"""How gresque connects to Redis: from a URL to a pooled client, or to one connection of its own."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from typing import Any

import redis
from gevent._hub_local import get_hub_if_exists
from gevent.resolver.blocking import Resolver
from gevent.socket import wait_read
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection, Connection, parse_url
from redis.exceptions import (
    AskError,
    AuthenticationError,
    MasterDownError,
    NoPermissionError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from gresque.errors import RedisUnavailable, SettingsError
from gresque.forked import own_those_of
from gresque.redis_url import check, mask
from gresque.store.line import Line
from gresque.store.replies import is_reply, means_not_here, without_arguments
from gresque.store.scripts import Script
from gresque.store.url import place, resolve_url

CONNECT_SECONDS = 5.0
REPLY_SECONDS = 30.0
"""How long a reply may take before the connection counts as broken, for what cannot be sent again.
Far above a slow server's replies."""
FIRST_REPLY_SECONDS = 5.0
"""The same for what can be sent again, turns and pushes: a server that hangs, or one that another
has replaced, is left soon. When the call that is sent again takes too long as well, the server may
be slow: it is given twice the time, up to REPLY_SECONDS."""
CALM_SECONDS = 60.0
"""So long after the last such reply a connection is as impatient again as it was."""


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


def open_client(url: str) -> redis.Redis:
    """A pooled client for everything but the worker's cycle; greenlets and threads may share it."""
    connection_class: Any
    connection_class, options, _ = _prepare(url)
    # The default pool raises at 100 connections; 1,000 greenlets may enqueue at once.
    pool = _Pool(
        connection_class=_pooled(connection_class),
        max_connections=2**31,
        protocol=2,
        **{"socket_timeout": REPLY_SECONDS, **options},
    )
    own_those_of(pool, _descriptors)
    return redis.Redis.from_pool(pool)


def _descriptors(pool: Any) -> Iterator[int]:
    for connection in (*pool._available_connections, *pool._in_use_connections):
        if (open_socket := connection._get_socket()) is not None:
            yield open_socket.fileno()


class _Pooled(AbstractConnection):
    """A connection that knows when the server has said that it is not the one to ask."""

    not_here = False

    def connect(self) -> None:
        connect: Callable[[], None] = super().connect
        try:
            connect()
        except ResponseError as error:
            without_arguments(error)
            raise

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().read_response(*args, **kwargs)
        except ResponseError as error:
            self.not_here = self.not_here or means_not_here(error)
            raise


class _Pool(redis.ConnectionPool):
    """Closes such a connection: the next call opens a new one, which follows a name that moved.

    Only when it comes back: the other replies of a pipeline are still to be read before.
    """

    def release(self, connection: Any) -> None:
        if connection.not_here:
            connection.not_here = False
            connection.disconnect()
        super().release(connection)


@cache
def _pooled(connection_class: Any) -> type[AbstractConnection]:
    return type(f"Pooled{connection_class.__name__}", (_Pooled, connection_class), {})


class Connector:
    """Opens connections without a pool, to a server that then takes commands: one that is loading
    or full says so before anything that matters is sent to it."""

    def __init__(self, url: str) -> None:
        self._class, options, _ = _prepare(url)
        self.is_patient = "socket_timeout" not in options
        """The user has set no limit for replies."""
        self._options = {"socket_timeout": FIRST_REPLY_SECONDS, **options}
        self._limit: float | None = options.get("socket_timeout")

    def __call__(self, reply_seconds: float) -> Line:
        """A connection whose replies may then take so long, if the user has set no limit."""
        connection = self._class(protocol=2, **self._options)
        line = _open(connection)
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

    def set_limit(self, line: Line, reply_seconds: float) -> None:
        line.wait_for(self._limit or reply_seconds)


def _open(connection: AbstractConnection, *on_push: Callable[[list[Any]], None]) -> Line:
    try:
        connection.connect()
    except ResponseError as error:
        connection.disconnect()
        without_arguments(error)
        raise
    except BaseException:
        connection.disconnect()
        raise
    return Line(connection, *on_push)


_Prepared = tuple[type[AbstractConnection], dict[str, Any], AbstractConnection]
_prepared: dict[str, _Prepared] = {}


def prepare(url: str) -> None:
    """Do ahead what the first DirectConnection to this URL needs. In a master: its worker processes
    then find it done, which saves one that lives for a single job a tenth of its life."""
    _prepared[url] = _prepare(url)


def _prepare(url: str) -> _Prepared:
    """What to open connections with, and a first one that is not open yet: making it shows whether
    redis-py takes the options. Raises SettingsError."""
    options = _options(url)
    connection_class: type[AbstractConnection] = options.pop("connection_class", Connection)
    try:
        connection = connection_class(protocol=3, **options)
    except (RedisError, TypeError, ValueError) as error:
        told = str(error).removeprefix("AbstractConnection.__init__() ")
        raise SettingsError(f"Redis URL of {place(url)}: {told}") from error
    return connection_class, options, connection


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


class DirectConnection:
    """One connection without a pool: the caller sends, reads, and hears the server's pushes.

    Its `tracking` is True where the server announces changes of keys that were read (RESP3
    CLIENT TRACKING); old servers and some proxies refuse that.
    """

    def __init__(self, url: str) -> None:
        prepared = _prepared.pop(url) if url in _prepared else _prepare(url)
        self._class, self._options = prepared[:2]
        self._fresh: AbstractConnection | None = prepared[2]
        self._limit: float | None = self._options.get("socket_timeout")
        self._reply_seconds = FIRST_REPLY_SECONDS
        self._calm_from = 0.0
        self._line: Line | None = None
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

    def _open(self, protocol: int, reply_seconds: float) -> Line:
        fresh, self._fresh = self._fresh, None
        connection: Any = fresh or self._class(protocol=protocol, **self._options)
        connection.pid = os.getpid()  # it may have been made by the master
        connection.socket_timeout = self._limit or reply_seconds
        first, self._connected_before = not self._connected_before, True
        with _names_looked_up_here() if first else nullcontext():
            return _open(connection, self._on_push)

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

    def _send(self, line: Line, *command: Any) -> None:
        try:
            line.send(*command)
        except redis.TimeoutError:
            self._be_more_patient()
            raise

    def _read(self, line: Line) -> Any:
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

    def _live(self) -> Line:
        if self._line is None or self._line.closed:
            raise redis.ConnectionError("not connected")
        return self._line

    def close(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None


_WITHIN_SCRIPT = re.compile(r",? script: .*on @\S+$")


@contextmanager
def told_plainly(url: str) -> Iterator[None]:
    """Redis-py's errors become RedisUnavailable, with where the server is."""
    try:
        yield
    except RedisError as error:
        raise RedisUnavailable(explain(url, error)) from error


def explain(url: str, error: Exception) -> str:
    """One line that says what is wrong with Redis, and where."""
    if isinstance(error, RedisUnavailable):
        return str(error)
    if is_reply(error):
        code = getattr(error, "status_code", None)
        text = str(error)
        told = text if not code or code == "ERR" or text.startswith(code) else f"{code} {text}"
        told = _WITHIN_SCRIPT.sub("", told)
        remedy = _remedy(error)
        return f"Redis at {place(url)} refuses: {told.rstrip('.') if remedy else told}{remedy}"
    return f"no answer from Redis at {place(url)} ({error or type(error).__name__})"


def _remedy(error: Exception) -> str:
    """What to do when the URL names a server that is not the one to ask."""
    if isinstance(error, AskError):  # MOVED is one, too
        return (
            f"; this is a node of a Cluster, and slot {error.slot_id} is at {error.host}:"
            f"{error.port}: give the URL of that node, and a namespace in braces ({{resque}})"
        )
    if isinstance(error, ReadOnlyError | MasterDownError):
        return "; this is a replica: give the URL of the primary"
    return ""
