"""What a process publishes of its running jobs, and how much of it it sends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from gresque.connection.tracked import TrackedConnection
from gresque.settings import Settings
from gresque.store.commands import Blocking, Running
from gresque.store.keys import Keys
from gresque.store.ledger import Totals
from gresque.worker.native import heartbeat
from gresque.worker.native.heartbeat import Heartbeat, WorkerRecord
from gresque.worker.native.running_report import RunningReport

KEYS = Keys("resque")
KEY = KEYS.running("p")
AHEAD = 1000.0
MANY = Running({str(slot): 1.0 + slot for slot in range(1000)})


class Counting(TrackedConnection):
    """Counts what it sends."""

    requests = sent = 0

    def run(self, script: Any, keys: int, *arguments: Any) -> Any:
        self.requests += 1
        self.sent += sum(len(str(each)) for each in arguments)
        return super().run(script, keys, *arguments)

    def take(self) -> tuple[int, int]:
        """Requests and bytes since the last call."""
        taken, self.requests, self.sent = (self.requests, self.sent), 0, 0
        return taken


@pytest.fixture
def connection(redis_url: str, redis_client: redis.Redis) -> Iterator[Counting]:
    connection = Counting(redis_url, "resque")
    connection.connect()
    yield connection
    connection.close()


@pytest.fixture
def report() -> RunningReport:
    return RunningReport(KEYS, "p", lambda: b"waits")


def there(client: redis.Redis) -> Running:
    """What a reader finds, on the clock of the process."""
    text = client.get(KEY)
    return Running() if text is None else Running.parse(text).shifted(-AHEAD)


def test_only_changes_are_sent(
    report: RunningReport, connection: Counting, redis_client: redis.Redis
) -> None:
    report.publish(connection, MANY, AHEAD)
    assert there(redis_client) == MANY
    assert connection.take()[1] > 10_000
    report.publish(connection, MANY, AHEAD)
    assert connection.take() == (0, 0)
    some = Running({**MANY.since, "7": 5000.0, "1000": 5001.5})
    del some.since["8"]
    report.publish(connection, some, AHEAD)
    assert there(redis_client) == some
    assert connection.take()[1] < 300
    blocked = Running(some.since, Blocking("7", 5.0, ["line"]))
    for running in (blocked, some, Running({"3": 9.0}), Running(frozen=2.0), Running()):
        report.publish(connection, running, AHEAD)
        assert there(redis_client) == running
    assert not redis_client.exists(KEY)
    connection.take()
    report.publish(connection, Running(), AHEAD)
    assert connection.take() == (0, 0)


def test_lines_do_not_pile_up(
    report: RunningReport, connection: Counting, redis_client: redis.Redis
) -> None:
    running = Running(dict(MANY.since))
    longest = 0
    for second in range(60):
        running = Running({**running.since, **{str(n): 9.5 + second for n in range(100)}})
        report.publish(connection, running, AHEAD)
        longest = max(longest, redis_client.strlen(KEY))
    assert there(redis_client) == running
    assert longest < 2.1 * len(running.shifted(AHEAD).encode())


def test_the_expiry_is_renewed(
    report: RunningReport, connection: Counting, redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    report.publish(connection, MANY, AHEAD)
    redis_client.expire(KEY, 2)
    report.publish(connection, MANY, AHEAD)
    assert redis_client.ttl(KEY) <= 2
    monkeypatch.setattr(report, "_renew_at", 0.0)
    connection.take()
    report.publish(connection, MANY, AHEAD)
    assert redis_client.ttl(KEY) > 2
    assert connection.take()[1] < 300


@pytest.mark.parametrize("forget", [
    lambda client: client.flushall(),
    lambda client: client.delete(KEY),
    lambda client: client.set(KEY, '{"since":{"0":1001.0}}'),  # a replica that lagged
    lambda client: client.append(KEY, "\n{}"),  # a proxy that acted for a frozen process
    lambda client: (client.delete(KEY), client.rpush(KEY, "x")),
])  # fmt: skip
@pytest.mark.parametrize("changes", [True, False])
def test_a_server_that_has_forgotten_some_is_given_all(
    report: RunningReport, connection: Counting, redis_client: redis.Redis,
    forget: Callable[[redis.Redis], object], changes: bool, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    running = Running({"0": 1.0, "1": 2.0})
    report.publish(connection, running, AHEAD)
    running = Running({"0": 1.0, "1": 2.0, "2": 3.0})
    report.publish(connection, running, AHEAD)
    forget(redis_client)
    if changes:
        running = Running({"0": 1.0, "2": 3.0})
    else:
        monkeypatch.setattr(report, "_renew_at", 0.0)
    report.publish(connection, running, AHEAD)
    assert there(redis_client) == running
    assert 0 < redis_client.ttl(KEY) <= 25


def test_after_a_write_without_an_answer_all_is_said(
    report: RunningReport, connection: Counting, redis_client: redis.Redis
) -> None:
    report.publish(connection, Running({"0": 1.0}), AHEAD)
    sent = connection.run
    lost = redis.ConnectionError("lost")

    def lose(*arguments: Any) -> None:
        sent(*arguments)
        raise lost

    connection.run = lose  # type: ignore[method-assign]
    with pytest.raises(redis.ConnectionError):
        report.publish(connection, Running({"0": 1.0, "1": 2.0}), AHEAD)
    connection.run = sent  # type: ignore[method-assign]
    report.publish(connection, Running({"1": 2.0}), AHEAD)
    assert there(redis_client) == Running({"1": 2.0})
    assert b"\n" not in redis_client.get(KEY)


def test_waits_are_published_while_a_viewer_looks(
    report: RunningReport, connection: Counting, redis_client: redis.Redis
) -> None:
    running = Running({"0": 1.0})
    report.publish(connection, running, AHEAD)
    assert not report.is_watched
    redis_client.set(KEYS.watch, "1", ex=10)
    assert connection.wait(5), "the viewer is announced"
    assert connection.invalidated == [KEYS.watch.encode()]
    report.is_watched = True
    report.publish(connection, running, AHEAD)
    assert redis_client.get(KEYS.waits("p")) == b"waits"
    redis_client.expire(KEYS.waits("p"), 1)
    report.publish(connection, running, AHEAD)
    assert redis_client.ttl(KEYS.waits("p")) > 1
    redis_client.delete(KEYS.waits("p"), KEYS.watch)
    for _ in range(2):
        report.publish(connection, running, AHEAD)
    assert not report.is_watched
    connection.take()
    report.publish(connection, running, AHEAD)
    assert connection.take() == (0, 0)


# The heartbeat


@pytest.fixture
def beats(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Heartbeat:
    monkeypatch.setattr(heartbeat, "TICK_SECONDS", 0.05)
    return Heartbeat(
        Settings.load({"redis_url": redis_url}, {}), "p", WorkerRecord("w", "then", Totals),
        lambda: MANY, lambda command: None, lambda: None, lambda: None, waits=lambda: b"waits",
    )  # fmt: skip


def test_a_heartbeat_of_long_jobs_is_silent(beats: Heartbeat, connection: Counting) -> None:
    beats.connect(connection)
    beats.tick(connection)
    connection.take()
    for _ in range(5):
        beats.wait(connection)
        beats.tick(connection)
    assert connection.take() == (0, 0)


def test_a_heartbeat_sees_a_viewer_at_once(
    beats: Heartbeat, connection: Counting, redis_client: redis.Redis
) -> None:
    beats.connect(connection)
    beats.tick(connection)
    redis_client.set(KEYS.watch, "1", ex=10)
    beats.wait(connection)
    beats.tick(connection)
    assert redis_client.get(KEYS.waits("p")) == b"waits"


def test_only_its_own_commands_are_taken(
    beats: Heartbeat, connection: Counting, redis_client: redis.Redis
) -> None:
    """An old server announces what others write, too."""
    beats.connect(connection)
    beats.take_commands(connection)
    connection.call(b"GET", b"other")
    for key, requests in ((b"other", 0), (KEYS.commands("p").encode(), 1)):
        connection.take()
        redis_client.rpush(key, "stacks token - ")
        beats.wait(connection)
        assert connection.take()[0] == requests
    connection.tracking = False
    beats.wait(connection)
    assert connection.take()[0] == 1


def test_a_second_connection_makes_the_turns_look(redis_url: str, connection: Counting) -> None:
    looks: list[int] = []
    beats = Heartbeat(
        Settings.load({"redis_url": redis_url}, {}), "p", WorkerRecord("w", "then", Totals),
        Running, lambda command: None, lambda: None, lambda: None,
        on_doubt=lambda: looks.append(1),
    )  # fmt: skip
    beats.connect(connection)
    assert not looks
    beats.connect(connection)
    assert looks == [1]


def test_on_a_new_connection_all_is_said(
    beats: Heartbeat, connection: Counting, redis_client: redis.Redis
) -> None:
    beats.connect(connection)
    beats.tick(connection)
    before = redis_client.get(KEY)
    redis_client.set(KEY, bytes(len(before)))  # another server, with a text as long
    beats.connect(connection)
    beats.tick(connection)
    assert redis_client.get(KEY)[:20] == before[:20]


def test_when_the_clock_of_the_server_was_set_all_is_said(
    beats: Heartbeat, connection: Counting, redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    now = int(redis_client.time()[0])
    monkeypatch.setattr(heartbeat, "_seconds", lambda clock: int(clock[0]) - 3600.0)
    beats.connect(connection)
    beats.beat(connection)
    beats.tick(connection)
    assert Running.parse(redis_client.get(KEY)).since["999"] < now - 3500
    monkeypatch.undo()
    beats.beat(connection)
    beats.tick(connection)
    monotonic_ago = heartbeat.time.monotonic() - MANY.since["999"]
    since = Running.parse(redis_client.get(KEY)).since["999"]
    assert since == pytest.approx(now - monotonic_ago, abs=60)
