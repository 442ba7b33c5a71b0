"""One connection: what is sent and read on it once redis-py has opened it."""

from __future__ import annotations

import select
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import hiredis
import redis
from redis.connection import AbstractConnection
from redis.exceptions import InvalidResponse, RedisError

from gresque.connection.errors import means_not_here, of_reply, of_socket
from gresque.forked import own_those_of
from gresque.unpatched import original

READ_BYTES = 65_536
_MORE_TO_COME = object()


def ignore(push: list[Any]) -> None:
    """For a connection that asked for no announcements."""


class RawConnection:
    """One connection. Its user sends and reads, one command after the other or several at once.

    redis-py takes care of the address, TLS, the password and the protocol. After that the socket
    and hiredis are used directly: in a process that has just been woken nothing is in the
    processor's caches, and the layers in between took as long as the trip to the server and back.

    Each failure closes the connection, so that a late reply is not taken for that of the next
    command. A reply that means "not here" closes it as well: the server is no longer the primary,
    and does not say so again to a connection that only waits.
    """

    def __init__(
        self, connection: AbstractConnection, on_push: Callable[[list[Any]], None] = ignore
    ) -> None:
        """`connection` is connected and has nothing to be read. `on_push(parts)` is called with
        each announcement of the server (RESP3) when that is read."""
        open_socket: Any = connection._get_socket()
        self.closed = False
        self.reply_bytes = 0
        """Size of the last reply, with all that was read with it."""
        self.unsent = 0
        """How many bytes the server did not get of what failed to be sent."""
        self._connection = connection
        self._on_push = on_push
        self._socket = open_socket
        self._reader = hiredis.Reader(
            protocolError=InvalidResponse,
            replyError=of_reply,
            notEnoughData=_MORE_TO_COME,
        )
        # Unpatched: that of gevent needs a watcher of the loop each time.
        self._poller = original("select", "poll")()
        self._poller.register(open_socket.fileno(), select.POLLIN)
        own_those_of(self, lambda raw: [raw.fileno()])

    def send(self, *command: Any, behind: bytes = b"") -> None:
        """Send a command, and in the same packet what comes `behind` it. Raises redis-py's errors:
        then the server did not get all of it, and never carries out a command that is cut (how much
        is missing says `unsent`). A large command may take any time, as long as the server accepts
        a part of it within the time that a reply may take."""
        try:
            data = hiredis.pack_command(command)
        except TypeError as error:
            raise redis.DataError(str(error)) from error
        self._send(data + behind if behind else data)

    def _send(self, data: bytes) -> None:
        sent = 0
        try:
            sent = self._socket.send(data)
            if sent < len(data):
                # `sendall` has one limit for all of it: 100 MB over a slow network would never
                # get through.
                rest = memoryview(data)
                while sent < len(data):
                    sent += self._socket.send(rest[sent:])
        except OSError as error:
            self._give_up(data, sent)
            raise of_socket(error, "writing to") from error
        except BaseException:  # a job that enqueues was killed
            self._give_up(data, sent)
            raise

    def _give_up(self, data: bytes, sent: int) -> None:
        self.unsent = len(data) - sent
        self.close()

    def send_all(self, commands: Sequence[Sequence[Any]]) -> None:
        """Send several commands at once. Raises as `send`: then some of them may be carried out."""
        self._send(b"".join(hiredis.pack_command(tuple(command)) for command in commands))

    def take_in(self) -> list[Any]:
        """The replies that have arrived, errors of the server as they are, and the pushes as in
        `hear`. Waits for no more than the rest of a reply. Raises redis-py's errors."""
        replies: list[Any] = []
        while self.something_arrived():
            reply = self._reader.gets()
            if reply is _MORE_TO_COME:
                self._receive()
            elif isinstance(reply, hiredis.PushNotification):
                self._on_push(reply)
            else:
                replies.append(reply)
        return replies

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
                try:
                    raise reply
                finally:
                    del reply  # its traceback has this frame: a cycle with the connection in it
            else:
                return reply

    def ping(self) -> None:
        """Ask for a sign of life. Raises redis-py's errors."""
        self.send_first(b"PING\r\n")
        self.read()

    def send_first(self, data: bytes) -> None:
        """Send what begins a connection. What fails here fails in `read` as well, which has the
        last words of a server that has hung up: that it is full."""
        with suppress(OSError):
            self._socket.sendall(data)

    def wait(self, seconds: float) -> None:
        """Block the native thread until there is something to read, at most this long."""
        if not self.something_arrived():
            self._poller.poll(1000 * seconds)

    def hear(self) -> None:
        """Take in the pushes that have arrived, without waiting. Raises redis-py's errors."""
        replies = self.take_in()
        if replies:
            self.close()
            raise InvalidResponse(f"a reply without a command: {replies[0]!r:.100}")

    def something_arrived(self) -> bool:
        """Whether there is something to read, the end of the connection included."""
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
            raise of_socket(error, "reading from") from error
        except BaseException:
            self.close()
            raise
        if not data:
            self.close()
            raise redis.ConnectionError("the server closed the connection")
        self.reply_bytes += len(data)
        self._reader.feed(data)

    def set_reply_seconds(self, reply_seconds: float) -> None:
        """Set how long each following reply may take."""
        self._socket.settimeout(reply_seconds)

    @property
    def reply_seconds(self) -> float | None:
        """How long each reply may take; None for any time."""
        seconds: float | None = self._socket.gettimeout()
        return seconds

    @property
    def socket(self) -> Any:
        """The socket, of the kind that the connection was opened with."""
        return self._socket

    def fileno(self) -> int:
        """The socket's descriptor, to wait on while no reply is due."""
        return int(self._socket.fileno())

    def close(self) -> None:
        self.closed = True
        self._connection.disconnect()
