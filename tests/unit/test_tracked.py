"""A tracked connection: it ends with a refusal, and waits longer for a slow server."""

from __future__ import annotations

import socket
import threading
import time

import pytest
import redis

from gresque.connection import opening, tracked
from gresque.connection.tracked import TrackedConnection
from gresque.errors import RedisUnavailable
from tests.support.server import OwnServer


def test_a_direct_connection_has_to_be_opened_again(own: OwnServer) -> None:
    connection = TrackedConnection(own.url, "resque")
    connection.connect()
    own.redis.replicaof("127.0.0.1", "1")
    with pytest.raises(redis.ReadOnlyError):
        connection.call(b"SET", b"a", b"1")
    with pytest.raises(redis.ConnectionError, match="not connected"):
        connection.call(b"PING")
    own.redis.replicaof("NO", "ONE")
    connection.connect()
    assert connection.call(b"SET", b"a", b"1") == b"OK"
    connection.close()


def silence(own: OwnServer, connection: TrackedConnection) -> float:
    """The server hangs until the connection gives it up; returns after how long that was."""
    connection.connect(20)
    own.stop()
    started = time.monotonic()
    with pytest.raises(redis.TimeoutError):
        connection.call(b"PING")
    own.resume()
    return time.monotonic() - started


def test_a_direct_connection_is_patient_with_a_server_that_is_slow_again(
    own: OwnServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracked, "FIRST_REPLY_SECONDS", 0.5)
    monkeypatch.setattr(opening, "FIRST_REPLY_SECONDS", 0.5)
    monkeypatch.setattr(opening, "REPLY_SECONDS", 1.2)
    connection = TrackedConnection(own.url, "resque")
    limits = []
    for at_least in (0.5, 1.0, 1.2):
        assert silence(own, connection) >= at_least
        connection.connect(20)
        limits.append(limit(connection))
    assert limits == [1.0, 1.2, 1.2]
    connection._calm_from = 0.001  # long ago
    connection.call(b"PING")
    assert limit(connection) == 0.5
    connection.close()


def limit(connection: TrackedConnection) -> float | None:
    assert connection._raw is not None
    seconds: float | None = connection._raw._socket.gettimeout()
    return seconds


def test_a_limit_of_the_users_stays(own: OwnServer) -> None:
    connection = TrackedConnection(f"{own.url}?socket_timeout=1.5", "resque")
    silence(own, connection)
    connection.connect(20)
    assert limit(connection) == 1.5
    connection.close()


def test_a_full_server_says_so(own: OwnServer) -> None:
    """It hangs up at once: what we send fails, and its last words wait to be read."""
    own.redis.config_set("maxclients", "1")
    for _ in range(5):
        with pytest.raises(redis.ConnectionError, match="max number of clients reached"):
            TrackedConnection(own.url, "resque").connect()


class Scripted:
    """A server that takes one packet of a connection and gives one reply to all of it."""

    def __init__(self, reply: bytes) -> None:
        self.packet = b""
        self._reply = reply
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        client, _ = self._socket.accept()
        self.packet = client.recv(65_536)
        client.sendall(self._reply)
        client.recv(1)  # until it hangs up
        client.close()

    def close(self) -> None:
        self._thread.join(5)
        self._socket.close()


HELLO = b"%1\r\n$5\r\nproto\r\n:3\r\n"


def shake_hands(reply: bytes, url: str) -> tuple[TrackedConnection, bytes]:
    server = Scripted(reply)
    connection = TrackedConnection(url.format(server.address), "resque")
    try:
        connection.connect()
    finally:
        connection.close()
        server.close()
    return connection, server.packet


def test_it_shakes_hands_in_one_packet() -> None:
    connection, packet = shake_hands(
        HELLO + b"+OK\r\n+OK\r\n", "redis://me:secret@{}/2?client_name=jobs"
    )
    assert connection.tracking
    words = [word for word in packet.split(b"\r\n") if word and word[:1] not in b"*$"]
    assert words == [
        *(b"HELLO", b"3", b"AUTH", b"me", b"secret", b"SETNAME", b"jobs"),
        *(b"SELECT", b"2", b"CLIENT", b"TRACKING", b"ON", b"NOLOOP"),
    ]


def test_a_server_may_refuse_to_announce() -> None:
    connection, _ = shake_hands(HELLO + b"-ERR unknown subcommand\r\n", "redis://{}")
    assert not connection.tracking


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (b"-WRONGPASS invalid\r\n-NOAUTH\r\n-NOAUTH\r\n", "refused the password"),
        (b"*2\r\n$5\r\nproto\r\n:2\r\n+OK\r\n", "does not speak RESP3"),
        (HELLO + b"-MASTERDOWN Link with MASTER is down\r\n", "Link with MASTER is down"),
    ],
    ids=["password", "protocol", "not here"],
)
def test_a_handshake_may_fail(reply: bytes, error: str) -> None:
    with pytest.raises((redis.RedisError, RedisUnavailable), match=error):
        shake_hands(reply, "redis://:wrong@{}")
