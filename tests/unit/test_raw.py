"""One connection: a refusal closes it, no error keeps it, a large command may take its time."""

from __future__ import annotations

import gc
import socket
import threading
import time
import weakref
from contextlib import suppress

import pytest
import redis
from redis.connection import UnixDomainSocketConnection

from gresque.connection.raw import RawConnection
from tests.support.sayer import Sayer
from tests.unit.test_connection_errors import NOT_HERE, UNBLOCKED

every_refusal = pytest.mark.parametrize("sayer", [*NOT_HERE, UNBLOCKED], indirect=True)


@every_refusal
def test_a_refusal_closes_it(sayer: Sayer) -> None:
    path = sayer.url.removeprefix("unix://")
    connection = UnixDomainSocketConnection(path=path, protocol=2, driver_info=None)
    connection.connect()
    line = RawConnection(connection)
    line.send(b"LLEN", b"q")
    with pytest.raises(redis.RedisError):
        line.read()
    assert line.closed


def test_an_error_does_not_keep_it() -> None:
    """As a cycle it would stay open until some garbage collection, however it was dropped."""
    ours, theirs = socket.socketpair()
    theirs.sendall(b"-NOSCRIPT none\r\n")
    line = RawConnection(OneSocket(ours))  # type: ignore[arg-type]
    dropped = weakref.ref(line)
    gc.collect()
    gc.disable()
    try:
        with suppress(redis.RedisError):
            line.read()
        del line
        assert dropped() is None
    finally:
        gc.enable()
        ours.close()
        theirs.close()


class OneSocket:
    """As much of redis-py's connection as a line needs."""

    def __init__(self, one: socket.socket) -> None:
        self._socket = one

    def _get_socket(self) -> socket.socket:
        return self._socket

    def disconnect(self) -> None:
        self._socket.close()


def test_a_large_command_takes_its_time_on_a_slow_network() -> None:
    """The limit is for a server that takes in nothing."""
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 20_000)
    line = RawConnection(OneSocket(ours))  # type: ignore[arg-type]
    line.set_reply_seconds(2.0)
    got = bytearray()

    def read_slowly() -> None:
        while chunk := theirs.recv(20_000):
            got.extend(chunk)
            if len(got) < 1_500_000:
                time.sleep(0.03)

    reader = threading.Thread(target=read_slowly)
    reader.start()
    started = time.monotonic()
    line.send(b"SET", b"a", b"x" * 1_500_000)
    assert time.monotonic() - started > 2.0
    line.close()
    reader.join(20)
    assert got.endswith(b"$1500000\r\n" + b"x" * 1_500_000 + b"\r\n")
    theirs.close()
