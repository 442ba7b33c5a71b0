"""Sockets on which code waits as tasks do."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any

from gresque.aio.calls import wait_until


class LoopSocket:
    """A connected socket, with TLS or without: what redis-py and `RawConnection` use of one.

    One call at a time uses it, in the thread of its loop. What has not been sent when a method
    raises is never sent.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._timeout = connected.gettimeout()
        self._pid = os.getpid()
        self._watches: list[Callable[[], None]] = []
        """Each ends a wait."""
        connected.setblocking(False)

    def __del__(self) -> None:
        self._socket.close()  # nobody waited for the connection any more

    def settimeout(self, seconds: float | None) -> None:
        self._timeout = seconds

    def gettimeout(self) -> float | None:
        return self._timeout

    def send(self, data: Any) -> int:
        """Send what the server takes now, at least a byte; returns how many bytes those were."""
        sent: int = self._do(self._wait_writable, self._socket.send, data)
        return sent

    def sendall(self, data: Any) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self.send(rest) :]

    def recv(self, size: int, *flags: int) -> bytes:
        data: bytes = self._do(self._wait_readable, self._socket.recv, size, *flags)
        return data

    def recv_into(self, buffer: Any) -> int:
        size: int = self._do(self._wait_readable, self._socket.recv_into, buffer)
        return size

    def pending(self) -> int:
        """Bytes that TLS has decrypted and nobody has read."""
        return self._socket.pending() if isinstance(self._socket, ssl.SSLSocket) else 0

    def fileno(self) -> int:
        return self._socket.fileno()

    def getpeername(self) -> Any:
        return self._socket.getpeername()

    def shutdown(self, how: int) -> None:
        self._socket.shutdown(how)

    def close(self) -> None:
        # The loop hears nothing of a closed socket, and its number may be another one's at once.
        while self._watches:
            self._watches.pop()()
        self._socket.close()

    def _do(self, wait: Callable[[], None], operation: Callable[..., Any], *args: Any) -> Any:
        while True:
            try:
                return operation(*args)
            except ssl.SSLWantReadError:
                wait_again = self._wait_readable
            except ssl.SSLWantWriteError:
                wait_again = self._wait_writable
            except BlockingIOError:
                wait_again = wait
            if self._timeout == 0:
                raise BlockingIOError
            wait_again()

    def until_readable(self, seconds: float | None) -> None:
        """Wait for something to read. Raises TimeoutError after this time."""
        loop = asyncio.get_running_loop()
        self._wait(loop, loop.add_reader, loop.remove_reader, seconds)

    def _wait_readable(self) -> None:
        self.until_readable(self._timeout)

    def _wait_writable(self) -> None:
        loop = asyncio.get_running_loop()
        self._wait(loop, loop.add_writer, loop.remove_writer, self._timeout)

    def _wait(
        self,
        loop: asyncio.AbstractEventLoop,
        add: Callable[..., Any],
        remove: Callable[[int], Any],
        seconds: float | None,
    ) -> None:
        descriptor, ready = self._socket.fileno(), loop.create_future()
        add(descriptor, _set, ready)

        def forget() -> None:
            _set(ready)
            # A forked child shares with its parent what the parent's loop watches.
            if os.getpid() == self._pid and not loop.is_closed():
                remove(descriptor)

        self._watches.append(forget)
        try:
            wait_until(ready, seconds)
        finally:
            if forget in self._watches:
                self._watches.remove(forget)
                forget()


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
