"""The locks of unique jobs that run for long."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import redis

from gresque.connection.tracked import TrackedConnection
from gresque.jobs import payload
from gresque.settings import Settings
from gresque.store.commands import Running
from gresque.store.keys import Keys
from gresque.store.ledger import Totals
from gresque.worker.native import lock_keeper
from gresque.worker.native.heartbeat import Heartbeat, WorkerRecord
from gresque.worker.native.lock_keeper import LockKeeper
from gresque.worker.turns.in_flight import InFlight

KEYS = Keys("resque")
DAY = 86_400_000


def digest(number: int) -> str:
    return f"{number:032x}"


@pytest.fixture
def connection(redis_url: str) -> Iterator[TrackedConnection]:
    connection = TrackedConnection(redis_url, "resque")
    connection.connect()
    yield connection
    connection.close()


@pytest.fixture
def in_flight() -> InFlight:
    """Of jobs in the slots 0 to 3."""
    made = InFlight(Totals(), KEYS)
    for slot, mode in enumerate(("queued", "both", "both", "running")):
        mark = {"unique": [digest(slot), mode]}
        raw = payload.encode("Sync", (), None, f"id{slot}", envelope=mark)
        job = b"%d" % slot, "q", raw
        if mode != "both":
            made.started[job[0]] = None
        assert not made.waits_for_start(job)
    return made


def hold(redis_client: redis.Redis, number: int, left: int, **fields: str | int) -> None:
    redis_client.hset(KEYS.unique(digest(number)), mapping={"id": f"id{number}"} | fields)
    redis_client.pexpire(KEYS.unique(digest(number)), left)


def left(redis_client: redis.Redis, number: int) -> int:
    return int(redis_client.pttl(KEYS.unique(digest(number))))


def test_the_locks_of_long_jobs_live_on(
    connection: TrackedConnection, redis_client: redis.Redis, in_flight: InFlight
) -> None:
    for number, fields in enumerate(({}, {"ttl": 100_000}, {}, {})):
        hold(redis_client, number, 40_000, **fields)
    LockKeeper(KEYS, in_flight).keep(connection, {"0", "1", "3"})
    # Of mode `queued`: only a server that has forgotten the start has it, and the end releases it.
    assert DAY - 5_000 < left(redis_client, 0) <= DAY
    assert 95_000 < left(redis_client, 1) <= 100_000
    assert left(redis_client, 2) <= 40_000  # its job does not run for long yet
    assert DAY - 5_000 < left(redis_client, 3) <= DAY


@pytest.mark.parametrize(
    ("before", "ttl", "after"),
    [(60_000, 100_000, 60_000), (25_000, 1_000, 60_000), (40_000, 1_000, 40_000)],
)
def test_one_with_half_its_time_is_left_alone_and_a_short_one_gets_a_minute(
    connection: TrackedConnection, redis_client: redis.Redis, in_flight: InFlight,
    before: int, ttl: int, after: int,
) -> None:  # fmt: skip
    hold(redis_client, 1, before, ttl=ttl)
    LockKeeper(KEYS, in_flight).keep(connection, {"1"})
    assert after - 5_000 < left(redis_client, 1) <= after


def test_the_lock_of_another_job_is_not_prolonged_and_none_is_made(
    connection: TrackedConnection, redis_client: redis.Redis, in_flight: InFlight,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    hold(redis_client, 1, 40_000, id="another")
    redis_client.set(KEYS.unique(digest(3)), "x", px=40_000)
    LockKeeper(KEYS, in_flight).keep(connection, {"1", "2", "3"})
    assert left(redis_client, 1) <= 40_000
    assert not redis_client.exists(KEYS.unique(digest(2)))
    assert "is not a hash" in caplog.text


def test_it_looks_every_ten_seconds(
    connection: TrackedConnection, redis_client: redis.Redis, in_flight: InFlight,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    keeper = LockKeeper(KEYS, in_flight)
    keeper.keep(connection, {"9"})  # nothing to prolong: that was no look
    for seconds, is_prolonged in ((10.0, True), (10.0, False), (0.0, True)):
        monkeypatch.setattr(lock_keeper, "KEEP_SECONDS", seconds)
        hold(redis_client, 1, 40_000)
        keeper.keep(connection, {"1"})
        assert (left(redis_client, 1) > 40_000) == is_prolonged


def test_the_heartbeat_keeps_those_of_jobs_that_run_for_a_second(
    redis_url: str, connection: TrackedConnection, redis_client: redis.Redis, in_flight: InFlight
) -> None:
    now = time.monotonic()
    heartbeat = Heartbeat(
        Settings.load({"redis_url": redis_url}, {}), "p", WorkerRecord("w", "then", Totals),
        lambda: Running({"1": now - 5, "2": now}), lambda command: None, lambda: None,
        lambda: None, locks=LockKeeper(KEYS, in_flight),
    )  # fmt: skip
    hold(redis_client, 1, 40_000)
    hold(redis_client, 2, 40_000)
    heartbeat.tick(connection)
    assert left(redis_client, 1) > 40_000
    assert left(redis_client, 2) <= 40_000
