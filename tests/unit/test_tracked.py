"""A tracked connection: it ends with a refusal, and waits longer for a slow server."""

from __future__ import annotations

import time

import pytest
import redis

from gresque.connection import opening, tracked
from gresque.connection.tracked import TrackedConnection
from tests.support.server import OwnServer


def test_a_direct_connection_has_to_be_opened_again(own: OwnServer) -> None:
    connection = TrackedConnection(own.url)
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
    monkeypatch.setattr(tracked, "REPLY_SECONDS", 1.2)
    connection = TrackedConnection(own.url)
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
    connection = TrackedConnection(f"{own.url}?socket_timeout=1.5")
    silence(own, connection)
    connection.connect(20)
    assert limit(connection) == 1.5
    connection.close()
