"""The heartbeat, and what it does about those that it finds dead."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from gresque.connection.scripts import script
from gresque.connection.tracked import TrackedConnection
from gresque.processes import judge
from gresque.processes.fingerprint import find, machine
from gresque.processes.judge import Judge, SharedMemory
from gresque.settings import Settings
from gresque.store.commands import Running
from gresque.store.keys import Keys
from gresque.store.ledger import Totals
from gresque.worker.native import heartbeat
from gresque.worker.native.heartbeat import Heartbeat, WorkerRecord

KEYS = Keys("resque")
WORKER = "host:1:q:1:1:1"
ME = f"{WORKER}:10:1000"
OTHER = "elsewhere:1:q:1:1:1"
SILENT, BACK = f"{OTHER}:20:1000", f"{OTHER}:21:1000"


class Clock:
    """The monotonic clock of this machine."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(judge, "time", clock)
    monkeypatch.setattr(heartbeat, "time", clock)
    return clock


@pytest.fixture
def connection(redis_url: str, redis_client: redis.Redis) -> Iterator[TrackedConnection]:
    """Three processes are registered."""
    connection = TrackedConnection(redis_url)
    connection.connect()
    now = int(redis_client.time()[0]) * 1000
    for process in (ME, SILENT, BACK):
        worker = process.rsplit(":", 2)[0]
        connection.run(
            script("register"), 7, KEYS.workers, KEYS.worker_started(worker), KEYS.ledgers,
            KEYS.ledger(process), KEYS.heartbeats, KEYS.processes, KEYS.masters, worker, "then",
            process, "2026-01-01T00:00:00+00:00", now, "1 0 0 0", "",
        )  # fmt: skip
        redis_client.hset(KEYS.ledger(process), "0", "14:resque:queue:q" + process)
    yield connection
    connection.close()


def heartbeat_of(redis_url: str, told: list[str], memory: SharedMemory | None = None) -> Heartbeat:
    return Heartbeat(
        Settings.load({"redis_url": redis_url}, {}),
        ME,
        WorkerRecord(WORKER, "then", lambda: Totals(10, 5, 2, 0)),
        Judge(memory or SharedMemory(1), 0),
        Running,
        run=lambda order: None,
        each_second=lambda: None,
        lost=lambda: told.append(ME),
    )


@pytest.fixture
def beats(redis_url: str) -> Heartbeat:
    return heartbeat_of(redis_url, [])


def processes(redis_client: redis.Redis) -> set[str]:
    return {name.decode() for name in redis_client.zrange(KEYS.ledgers, 0, -1)}


def beat_for(seconds: int, beats: Heartbeat, connection: TrackedConnection, clock: Clock) -> None:
    """It beats every 10 s."""
    for _ in range(seconds // 10):
        beats.beat(connection)
        clock.now += 10


class SetClock:
    """A connection to a server whose clock is ahead by `seconds`."""

    def __init__(self, connection: TrackedConnection, seconds: int) -> None:
        self._connection = connection
        self._seconds = seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def call(self, *command: Any) -> Any:
        reply = self._connection.call(*command)
        if command == (b"TIME",):
            return [b"%d" % (int(reply[0]) + self._seconds), reply[1]]
        return reply


@pytest.mark.parametrize("seconds", [90, -90, 7200, -7200, 10**9])
def test_steps_of_the_servers_clock_kill_nobody(
    redis_url: str,
    connection: TrackedConnection,
    redis_client: redis.Redis,
    clock: Clock,
    seconds: int,
) -> None:
    """Two beat, one before the step and one after it; a third one is dead."""
    beats = heartbeat_of(redis_url, [])
    other: Any = SetClock(connection, 0)
    for n in range(7):
        if n == 3:
            other = SetClock(connection, seconds)
        score = redis_client.zscore(KEYS.ledgers, BACK)
        beats.beat(other)
        redis_client.zadd(KEYS.ledgers, {BACK: score + 1})
        clock.now += 10
        assert processes(redis_client) == ({ME, SILENT, BACK} if n < 6 else {ME, BACK})
    assert redis_client.lrange(KEYS.queue("q"), 0, -1) == [SILENT.encode()]


def test_the_dead_are_recovered_and_their_worker_is_forgotten(
    beats: Heartbeat, connection: TrackedConnection, redis_client: redis.Redis, clock: Clock
) -> None:
    beat_for(60, beats, connection, clock)
    assert processes(redis_client) == {ME, SILENT, BACK}, "it judges nobody in its first minute"
    beats.beat(connection)
    assert processes(redis_client) == {ME}
    assert redis_client.llen(KEYS.queue("q")) == 2
    assert redis_client.smembers(KEYS.workers) == {WORKER.encode()}
    assert redis_client.hkeys(KEYS.masters) == [WORKER.encode()]
    (entry, _) = redis_client.lrange(KEYS.recoveries, 0, -1)
    assert b'"cause": "no heartbeat for 60 s"' in entry


def test_one_that_beats_after_it_was_judged_lives(
    beats: Heartbeat,
    connection: TrackedConnection,
    redis_client: redis.Redis,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The judge was held up between its look and what follows."""
    beat_for(60, beats, connection, clock)
    recover = beats._recover

    def later(*found: Any) -> None:
        redis_client.zincrby(KEYS.ledgers, 1, BACK)
        recover(*found)

    monkeypatch.setattr(beats, "_recover", later)
    beats.beat(connection)
    assert processes(redis_client) == {ME, BACK}
    assert redis_client.hget(KEYS.ledger(BACK), "state") == b"0 1 0 0 0"
    assert redis_client.smembers(KEYS.workers) == {WORKER.encode(), OTHER.encode()}


def test_processes_of_one_job_each_judge_by_what_their_siblings_saw(
    redis_url: str, connection: TrackedConnection, redis_client: redis.Redis, clock: Clock
) -> None:
    memory = SharedMemory(1)
    for _ in range(7):
        beat_for(10, heartbeat_of(redis_url, [], memory), connection, clock)
    assert processes(redis_client) == {ME}


FOREIGN = {
    "ny:1:q": "2026-11-26T07:55:36-05:00",
    "ist:1:q": "2026-01-01T00:00:00+05:30",
    "fork:1:q:1:1:1": "2026-01-01T00:00:00+00:00",
    "nonsense:1:q": "x",
}


def test_workers_of_other_programs_are_not_judged(
    beats: Heartbeat, connection: TrackedConnection, redis_client: redis.Redis, clock: Clock
) -> None:
    """Their heartbeats are in local time, and their kind has rules of its own."""
    redis_client.sadd(KEYS.workers, "silent:1:q", *FOREIGN)
    redis_client.hset(KEYS.heartbeats, mapping=FOREIGN)
    beat_for(200, beats, connection, clock)
    assert redis_client.smembers(KEYS.workers) == {
        name.encode() for name in (WORKER, "silent:1:q", *FOREIGN)
    }
    assert (
        FOREIGN.items()
        <= {
            name.decode(): beat.decode()
            for name, beat in redis_client.hgetall(KEYS.heartbeats).items()
        }.items()
    )


def test_a_worker_of_gresque_without_processes_is_forgotten(
    beats: Heartbeat, connection: TrackedConnection, redis_client: redis.Redis, clock: Clock
) -> None:
    """Its master was killed when no process was there."""
    redis_client.hset(KEYS.masters, "gone:1:q:1:1:1", "then")
    redis_client.sadd(KEYS.workers, "gone:1:q:1:1:1")
    beat_for(60, beats, connection, clock)
    assert redis_client.sismember(KEYS.workers, "gone:1:q:1:1:1")
    beats.beat(connection)
    assert redis_client.smembers(KEYS.workers) == {WORKER.encode()}


def test_one_that_cannot_be_recovered_holds_up_nobody(
    beats: Heartbeat,
    connection: TrackedConnection,
    redis_client: redis.Redis,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    redis_client.zadd(KEYS.ledgers, {"odd": 5, b"\xff:1:2": 7, "": 1e300})
    recovery_for = heartbeat.recovery_for

    def refuse(settings: Settings) -> Any:
        recovery = recovery_for(settings)
        recover = recovery.recover

        def one(dead: Any) -> Totals:
            if dead.process_id == SILENT:
                raise ValueError("no ledger")
            return recover(dead)

        monkeypatch.setattr(recovery, "recover", one)
        return recovery

    monkeypatch.setattr(heartbeat, "recovery_for", refuse)
    beat_for(100, beats, connection, clock)
    assert not {BACK, "odd", ""} & processes(redis_client)
    assert SILENT in processes(redis_client)
    told = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert told == [f"cannot recover the dead process {SILENT}: ValueError: no ledger"]


def test_a_long_recovery_does_not_keep_a_process_from_beating(
    beats: Heartbeat,
    connection: TrackedConnection,
    redis_client: redis.Redis,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Others would take it for dead as well."""
    recovery_for = heartbeat.recovery_for

    def slow(settings: Settings) -> Any:
        recovery = recovery_for(settings)
        recover = recovery.recover

        def one(dead: Any) -> Totals:
            clock.now += 12
            return recover(dead)

        monkeypatch.setattr(recovery, "recover", one)
        return recovery

    monkeypatch.setattr(heartbeat, "recovery_for", slow)
    beat_for(60, beats, connection, clock)
    beats.beat(connection)
    assert len(processes(redis_client)) == 2
    assert redis_client.llen(KEYS.queue("q")) == 1
    beats.beat(connection)
    assert processes(redis_client) == {ME}
    assert redis_client.llen(KEYS.queue("q")) == 2


def place(redis_client: redis.Redis, process: str, where: str) -> None:
    redis_client.hset(KEYS.processes, process, where)


@pytest.mark.skipif(not machine(), reason="the kernel does not tell")
def test_those_that_are_gone_from_this_machine_are_recovered_at_once(
    beats: Heartbeat, connection: TrackedConnection, redis_client: redis.Redis
) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    place(redis_client, SILENT, f"{machine()} {dead.pid} 1 {dead.pid} 1")
    place(redis_client, BACK, f"elsewhere {dead.pid} 1 {dead.pid} 1")
    place(redis_client, ME, find(os.getpid(), os.getppid()))
    beats.beat(connection)
    assert processes(redis_client) == {ME, BACK}
    assert set(redis_client.hkeys(KEYS.processes)) == {BACK.encode(), ME.encode()}
    (entry,) = redis_client.lrange(KEYS.recoveries, 0, -1)
    assert b'"cause": "it and its master are gone"' in entry


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
