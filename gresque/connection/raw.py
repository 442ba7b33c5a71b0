"""A line to Redis: what is said on a connection once redis-py has opened it."""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any

import hiredis
import redis
from redis._parsers import BaseParser
from redis.connection import AbstractConnection
from redis.exceptions import InvalidResponse, RedisError, ResponseError

from gresque.connection.errors import means_not_here, without_arguments
from gresque.forked import own_those_of
from gresque.unpatched import original

READ_BYTES = 65_536
_MORE_TO_COME = object()


def _ignore(push: list[Any]) -> None:
    """Nothing was asked for that the server would announce."""


class RawConnection:
    """One connection; its user sends and reads, one command after the other or several at once.

    redis-py sees to the address, TLS, the password and the protocol. From then on the socket and
    hiredis are used directly: a process that has just been woken runs every line of code for the
    first time, as far as the processor's caches know, and the layers in between took as long as
    the trip to the server and back.

    What breaks a line closes it: a reply that nobody waits for any more must not be taken for the
    next one. So does a reply that means "not here": the server is no primary any more, and never
    says so again to a connection that only waits.
    """

    def __init__(
        self, connection: AbstractConnection, on_push: Callable[[list[Any]], None] = _ignore
    ) -> None:
        """`connection` is connected, and has nothing to be read. `on_push(parts)` is called with
        what the server says unasked (RESP3), when that is read."""
        open_socket: Any = connection._get_socket()
        self.closed = False
        self.reply_bytes = 0
        """How large the last reply was, what was read along with it included."""
        self._connection = connection
        self._on_push = on_push
        self._socket = open_socket
        self._reader = hiredis.Reader(
            protocolError=InvalidResponse,
            replyError=_parse_error,
            notEnoughData=_MORE_TO_COME,
        )
        # Not gevent's, which needs a watcher of the loop each time.
        self._poller = original("select", "poll")()
        self._poller.register(open_socket.fileno(), select.POLLIN)
        own_those_of(self, lambda line: [line.fileno()])

    def send(self, *command: Any) -> None:
        """Raises redis-py's errors; after them the command did not go out whole, and the server
        never carries it out. A large one may take any time, as long as the server takes in some of
        it within the time that a reply may take."""
        try:
            data = hiredis.pack_command(command)
        except TypeError as error:
            raise redis.DataError(str(error)) from error
        try:
            sent = self._socket.send(data)
            if sent < len(data):
                # Not by `sendall`, whose limit is for all of it: 100 MB over a slow network would
                # never get through.
                rest = memoryview(data)
                while sent < len(data):
                    sent += self._socket.send(rest[sent:])
        except OSError as error:
            self.close()
            raise _told(error, "writing to") from error
        except BaseException:  # a job that enqueues was killed
            self.close()
            raise

    def read(self) -> Any:
        """The next reply, its strings as bytes. Raises redis-py's errors."""
        gets = self._reader.gets
        self.reply_bytes = 0
        while True:
            reply = gets()
            if reply is _MORE_TO_COME:
                self._receive()
            elif isinstance(reply, hiredis.PushNotification):
                self._on_push(reply)
            elif isinstance(reply, RedisError):
                if isinstance(reply, redis.ConnectionError) or means_not_here(reply):
                    self.close()
                raise reply
            else:
                return reply

    def hear(self) -> None:
        """Take in the pushes that have arrived, without waiting. Raises redis-py's errors."""
        while self.something_arrived():
            reply = self._reader.gets()
            if reply is _MORE_TO_COME:
                self._receive()
            elif isinstance(reply, hiredis.PushNotification):
                self._on_push(reply)
            else:
                self.close()
                raise InvalidResponse(f"a reply that nobody asked for: {reply!r:.100}")

    def something_arrived(self) -> bool:
        """Whether there is something to read, and be it that the server has hung up."""
        if self._reader.has_data():
            return True
        pending = getattr(self._socket, "pending", None)
        if pending is not None and pending():
            return True  # TLS has decrypted it already
        return bool(self._poller.poll(0))

    def _receive(self) -> None:
        try:
            data = self._socket.recv(READ_BYTES)
        except OSError as error:
            self.close()
            raise _told(error, "reading from") from error
        except BaseException:
            self.close()
            raise
        if not data:
            self.close()
            raise redis.ConnectionError("the server closed the connection")
        self.reply_bytes += len(data)
        self._reader.feed(data)

    def wait_for(self, reply_seconds: float) -> None:
        """How long each following reply may take."""
        self._socket.settimeout(reply_seconds)

    def fileno(self) -> int:
        """The socket's descriptor, to wait on while no reply is due."""
        return int(self._socket.fileno())

    def close(self) -> None:
        self.closed = True
        self._connection.disconnect()


def _parse_error(text: str) -> RedisError:
    try:
        error: RedisError = BaseParser.parse_error(text)
    except ValueError:  # a MOVED that has more in it than redis-py expects
        error = ResponseError(text)
    return without_arguments(error)


def _told(error: OSError, doing: str) -> RedisError:
    if isinstance(error, TimeoutError):
        return redis.TimeoutError(f"timed out {doing} the socket")
    return redis.ConnectionError(f"error while {doing} the socket: {error}")
