"""What other programs leave under the keys of a live process stops neither it nor the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import redis

from gresque.connection.scripts import script
from gresque.connection.tracked import TrackedConnection
from gresque.maintenance.dead import DeadProcesses
from gresque.maintenance.siblings import Siblings
from gresque.processes.fingerprint import machine
from gresque.settings import Settings
from gresque.store.commands import Running
from gresque.store.ledger import Totals
from gresque.store.store import Store
from gresque.worker.native.heartbeat import Heartbeat, WorkerRecord
from tests.support.odd_keys import DEAD, ENTRY, KEYS, LEDGER, LIVE, STATE, die, queue, spoil

Redis = redis.Redis


@pytest.fixture
def connection(redis_url: str, redis_client: Redis) -> Iterator[TrackedConnection]:
    connection = TrackedConnection(redis_url, "resque")
    connection.connect()
    yield connection
    connection.close()


def register(connection: TrackedConnection, client: Redis, process: str = LIVE) -> list[bytes]:
    worker = process.rsplit(":", 2)[0]
    return connection.run(
        script("register"), 7,
        KEYS.workers, KEYS.worker_started(worker), KEYS.ledgers, KEYS.ledger(process),
        KEYS.heartbeats, KEYS.processes, KEYS.masters,
        worker, "then", process, "2026-01-01T00:00:00+00:00",
        int(client.time()[0]) * 1000, "1 0 0 0 0", "somewhere",
    )  # fmt: skip


def unregister(connection: TrackedConnection) -> int:
    return connection.run(
        script("unregister"), 6,
        KEYS.ledgers, KEYS.ledger(LIVE), KEYS.running(LIVE), KEYS.commands(LIVE), KEYS.processes,
        KEYS.vitals, LIVE, 0,
    )  # fmt: skip


@pytest.fixture
def beats(redis_url: str) -> Heartbeat:
    loaded = Settings.load({"redis_url": redis_url}, {})
    record = WorkerRecord("host:1:q:1:1:1", "then", Totals)
    return Heartbeat(loaded, LIVE, record, Running, _run_command, _nothing, _nothing)


@pytest.fixture
def siblings(redis_url: str) -> Siblings:
    return Siblings(DeadProcesses(Settings.load({"redis_url": redis_url}, {})))


def _run_command(order: object) -> None:
    pass


def _nothing() -> None:
    pass


SHARED = [KEYS.workers, KEYS.ledgers, KEYS.heartbeats, KEYS.processes, KEYS.masters]


@pytest.mark.parametrize("key", [*SHARED, KEYS.ledger(LIVE), KEYS.running(LIVE)])
def test_a_process_registers_beats_and_leaves(
    connection: TrackedConnection, redis_client: Redis, beats: Heartbeat, key: str
) -> None:
    spoil(redis_client, key)
    refused = register(connection, redis_client)
    assert refused[::2] == [key.encode()] * (key in SHARED)
    assert redis_client.hget(KEYS.ledger(LIVE), "state") == b"0 1 0 0 0 0"
    for _ in range(2):
        beats.beat(connection)
        beats.take_commands(connection)
    assert unregister(connection) == 0
    assert not redis_client.exists(KEYS.ledger(LIVE))
    if key in SHARED:
        assert redis_client.type(key) == b"string", "it is another program's"


def test_a_live_process_that_was_taken_off_the_list_comes_back(
    connection: TrackedConnection, redis_client: Redis, beats: Heartbeat
) -> None:
    register(connection, redis_client)
    spoil(redis_client, KEYS.ledgers)
    beats.beat(connection)
    redis_client.delete(KEYS.ledgers)
    beats.beat(connection)
    assert redis_client.zscore(KEYS.ledgers, LIVE) is not None
    redis_client.hset(KEYS.ledger(LIVE), "state", "fenced 0 1 0 0 0 0")
    redis_client.delete(KEYS.ledgers)
    beats.beat(connection)
    assert redis_client.zscore(KEYS.ledgers, LIVE) is None


def test_orders_of_another_type(
    connection: TrackedConnection,
    redis_client: Redis,
    beats: Heartbeat,
    caplog: pytest.LogCaptureFixture,
) -> None:
    register(connection, redis_client)
    spoil(redis_client, KEYS.commands(LIVE))
    for _ in range(2):
        beats.take_commands(connection)
    assert sum("is not a list" in message for message in caplog.messages) == 1
    connection.hear()
    connection.invalidated.clear()
    redis_client.delete(KEYS.commands(LIVE))
    assert connection.wait(10), "the next order is heard"


@pytest.mark.parametrize("key", [KEYS.listening("q"), KEYS.waiting("q"), KEYS.wake(LIVE)])
def test_the_bell(connection: TrackedConnection, redis_client: Redis, key: str) -> None:
    spoil(redis_client, key)
    for limit in range(3):
        keys = KEYS.listening("q"), KEYS.waiting("q"), KEYS.wake(LIVE)
        more = KEYS.polls("q"), KEYS.queue("q")
        assert connection.run(script("listen"), 5, *keys, *more, limit, 10, 5000) == [0, 0]
        assert len(connection.run(script("hand_over"), 3, *keys, 1)) == 1


def test_who_cannot_count_looks_often(connection: TrackedConnection, redis_client: Redis) -> None:
    spoil(redis_client, KEYS.polls("q"))
    keys = KEYS.listening("q"), KEYS.waiting("q"), KEYS.polls("q"), KEYS.queue("q")
    for number, place in enumerate([0, -1, -1, -1]):
        named = *keys[:2], KEYS.wake(f"{number}"), *keys[2:]
        assert connection.run(script("listen"), 5, *named, 1, 10, 5000) == [place, 0]


GONE = [
    "elsewhere 1 5", "x", "", " ", f"{machine()}", f"{machine()} a b c d",
    f"{machine()} {10**30} 5 {10**30} 5", f"{machine()} 0 5 0 5", f"{machine()} -1 5 -1 5",
]  # fmt: skip


@pytest.mark.parametrize("record", [*(each.encode() for each in GONE), b"\xff", b"%s \xff 1 2 3"])
def test_a_record_of_a_process_that_is_none(
    store: Store, redis_client: Redis, siblings: Siblings, record: bytes
) -> None:
    die(redis_client, state=STATE, _0=ENTRY)
    redis_client.hset(KEYS.processes, mapping={DEAD: record.replace(b"%s", machine().encode())})
    now = int(redis_client.time()[0]) * 1000
    redis_client.zadd(KEYS.ledgers, {DEAD: now})
    siblings.run(store)
    assert redis_client.exists(LEDGER), "its record does not show that it died"


def test_the_others_are_recovered_whatever_one_of_them_left(
    connection: TrackedConnection, store: Store, redis_client: Redis, siblings: Siblings
) -> None:
    register(connection, redis_client)
    odd: dict[str, Callable[[], object]] = {
        "a": lambda: redis_client.set(KEYS.ledger("a"), "x"),
        "b": lambda: redis_client.hset(KEYS.ledger("b"), mapping={"state": "?", "0": "xyz"}),
        "c:1:2": lambda: redis_client.rpush(KEYS.ledger("c:1:2"), "x"),
        "\udcff".encode("utf-8", "surrogateescape").decode("latin-1"): lambda: None,
    }
    for name, leave in odd.items():
        leave()
        redis_client.zadd(KEYS.ledgers, {name: 0})
    gone = f"{machine()} {2**22 + 7} 5 {2**22 + 8} 5"
    redis_client.hset(KEYS.processes, mapping=dict.fromkeys([*odd, DEAD], gone))
    die(redis_client, state=STATE, _0=ENTRY)
    siblings.run(store)
    assert len(queue(redis_client)) == 1
    assert redis_client.zrange(KEYS.ledgers, 0, -1) == [LIVE.encode()]
