"""The first beat of a process, which finds others silent: dead, or back from an outage."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import redis

from gresque.settings import Settings
from gresque.store.connection import DirectConnection
from gresque.store.keys import Keys
from gresque.store.scripts import script
from gresque.store.speech import Running
from gresque.worker import heartbeat
from gresque.worker.heartbeat import Heartbeat

KEYS = Keys("resque")
WORKER = "host:1:q:1:1:1"
ME = f"{WORKER}:10:1000"
OTHER = "elsewhere:1:q:1:1:1"
SILENT, BACK = f"{OTHER}:20:1000", f"{OTHER}:21:1000"


@pytest.fixture
def connection(redis_url: str, redis_client: redis.Redis) -> Iterator[DirectConnection]:
    """Three processes are registered; two of them have not beaten for two minutes."""
    connection = DirectConnection(redis_url)
    connection.connect()
    now = int(redis_client.time()[0]) * 1000
    for process, beat in ((ME, now), (SILENT, now - 120_000), (BACK, now - 120_000)):
        worker = process.rsplit(":", 2)[0]
        connection.run(
            script("register"), 6, KEYS.workers, KEYS.worker_started(worker), KEYS.ledgers,
            KEYS.ledger(process), KEYS.heartbeats, KEYS.processes, worker, "then", process,
            "2026-01-01T00:00:00+00:00", beat, "1 0 0 0", "",
        )  # fmt: skip
        redis_client.hset(KEYS.ledger(process), "0", "14:resque:queue:q" + process)
    yield connection
    connection.close()


@pytest.fixture
def beats(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Heartbeat:
    monkeypatch.setattr(heartbeat, "LOOK_AGAIN_SECONDS", 0.5)
    settings = Settings.load({"redis_url": redis_url}, {})
    return Heartbeat(settings, ME, WORKER, Running, lambda order: None, lambda: None, lambda: None)


def processes(redis_client: redis.Redis) -> set[str]:
    return {name.decode() for name in redis_client.zrange(KEYS.ledgers, 0, -1)}


def test_those_that_beat_meanwhile_live(
    beats: Heartbeat, connection: DirectConnection, redis_client: redis.Redis
) -> None:
    now = int(redis_client.time()[0]) * 1000
    coming_back = threading.Timer(0.1, redis_client.zadd, (KEYS.ledgers, {BACK: now}))
    coming_back.start()
    beats.first_beat(connection, waited=False)
    coming_back.join()
    assert processes(redis_client) == {ME, BACK}
    assert redis_client.lrange(KEYS.queue("q"), 0, -1) == [SILENT.encode()]


def test_one_that_waited_for_redis_itself_judges_nobody(
    beats: Heartbeat, connection: DirectConnection, redis_client: redis.Redis
) -> None:
    beats.first_beat(connection, waited=True)
    beats.beat(connection)
    assert processes(redis_client) == {ME, SILENT, BACK}
    assert redis_client.llen(KEYS.queue("q")) == 0


def test_the_dead_of_before_are_found_at_once(
    beats: Heartbeat, connection: DirectConnection, redis_client: redis.Redis
) -> None:
    beats.first_beat(connection, waited=False)
    assert processes(redis_client) == {ME}
    assert redis_client.llen(KEYS.queue("q")) == 2
    assert redis_client.smembers(KEYS.workers) == {WORKER.encode()}
