"""The heartbeat: what it says of its process in Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import redis

from gresque.connection.tracked import TrackedConnection
from gresque.settings import Settings
from gresque.store.commands import Running
from gresque.store.ledger import Totals
from gresque.worker.native.heartbeat import Heartbeat, WorkerRecord
from tests.support.registered import KEYS, ME, SILENT, WORKER, processes, register


@pytest.fixture
def connection(redis_url: str, redis_client: redis.Redis) -> Iterator[TrackedConnection]:
    """To a server where two processes are registered."""
    register(redis_client, ME, SILENT)
    connection = TrackedConnection(redis_url, "resque")
    connection.connect()
    yield connection
    connection.close()


def heartbeat_of(
    redis_url: str, told: list[str], vitals: Callable[[], bytes] | None = None
) -> Heartbeat:
    return Heartbeat(
        Settings.load({"redis_url": redis_url}, {}),
        ME,
        WorkerRecord(WORKER, "then", lambda: Totals(13, 5, 2, 0, 3)),
        Running,
        run=lambda command: None,
        each_second=lambda: None,
        lost=lambda: told.append(ME),
        vitals=vitals,
    )


@pytest.fixture
def beats(redis_url: str) -> Heartbeat:
    return heartbeat_of(redis_url, [])


def test_a_beat_raises_the_score_of_its_process_only(
    beats: Heartbeat, connection: TrackedConnection, redis_client: redis.Redis
) -> None:
    redis_client.zadd(KEYS.ledgers, {ME: 5, SILENT: 5})
    beats.beat(connection)
    assert redis_client.zscore(KEYS.ledgers, ME) > 10**12
    assert redis_client.zscore(KEYS.ledgers, SILENT) == 5
    assert processes(redis_client) == {ME, SILENT}


def test_in_a_burst_a_process_writes_its_own_vitals(
    redis_url: str, connection: TrackedConnection, redis_client: redis.Redis
) -> None:
    heartbeat_of(redis_url, [], lambda: b"{}").beat(connection)
    assert redis_client.hgetall(KEYS.vitals) == {ME.encode(): b"{}"}


def test_a_process_without_a_ledger_is_told(
    redis_url: str, connection: TrackedConnection, redis_client: redis.Redis
) -> None:
    told: list[str] = []
    own = heartbeat_of(redis_url, told)
    own.beat(connection)
    assert not told
    redis_client.zrem(KEYS.ledgers, ME)
    redis_client.delete(KEYS.ledger(ME))
    own.beat(connection)
    assert told == [ME]


def test_a_worker_that_another_program_removed_is_registered_again(
    beats: Heartbeat, connection: TrackedConnection, redis_client: redis.Redis
) -> None:
    redis_client.delete(KEYS.workers, KEYS.worker_started(WORKER))
    beats.beat(connection)
    assert redis_client.smembers(KEYS.workers) == {WORKER.encode()}
    assert redis_client.get(KEYS.worker_started(WORKER)) == b"then"
    assert redis_client.get(KEYS.worker_stat("processed", WORKER)) == b"7"
    assert redis_client.get(KEYS.worker_stat("failed", WORKER)) == b"2"
    assert redis_client.get(KEYS.worker_stat("retried", WORKER)) == b"3"
