"""Pruning: dead hosts are found by the heartbeats, and recovered under the lease."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import redis

from gresque.maintenance import dead, judge, prune
from gresque.maintenance.dead import DeadProcesses
from gresque.maintenance.judge import LOOK_SECONDS, Judge, SharedMemory
from gresque.maintenance.lease import Lease
from gresque.maintenance.prune import Prune
from gresque.settings import Settings
from gresque.store.ledger import Totals
from gresque.store.store import Store
from tests.support.registered import (
    BACK,
    KEYS,
    ME,
    OTHER,
    SILENT,
    WORKER,
    Clock,
    beat,
    processes,
    register,
)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (dead, judge, prune):
        monkeypatch.setattr(module, "time", clock)
    return clock


class Keeper:
    """What a maintenance process has, and nothing that waits."""

    def __init__(self, redis_url: str, memory: SharedMemory | None = None) -> None:
        self.settings = Settings.load({"redis_url": redis_url}, {})
        self.store = Store(redis_url, "resque")
        self.lease = Lease("me")
        self.lease.held = True
        self.dead = DeadProcesses(self.settings)
        self.prune = Prune(self.lease, Judge(memory or SharedMemory()), self.dead)

    def watch(self, seconds: float, client: redis.Redis, clock: Clock, *alive: str) -> None:
        """Run the task whenever it is due; those alive beat every 10 s."""
        end = clock.now + seconds
        while clock.now < end:
            if not int(clock.now) % 10:
                beat(client, alive)
            if self.prune.due(clock.now) <= 0:
                self.prune.run(self.store)
            clock.now += 1


@pytest.fixture
def keeper(redis_url: str, redis_client: redis.Redis) -> Iterator[Keeper]:
    register(redis_client, ME, SILENT, BACK)
    keeper = Keeper(redis_url)
    yield keeper
    keeper.store.close()


def test_the_dead_are_recovered_and_their_worker_is_forgotten(
    keeper: Keeper, redis_client: redis.Redis, clock: Clock
) -> None:
    keeper.watch(60, redis_client, clock, ME)
    assert processes(redis_client) == {ME, SILENT, BACK}, "it judges nobody in its first minute"
    keeper.watch(1, redis_client, clock, ME)
    assert processes(redis_client) == {ME}
    assert redis_client.llen(KEYS.queue("q")) == 2
    assert redis_client.smembers(KEYS.workers) == {WORKER.encode()}
    assert redis_client.hkeys(KEYS.masters) == [WORKER.encode()]
    (entry, _) = redis_client.lrange(KEYS.recoveries, 0, -1)
    assert b'"cause": "no heartbeat for 60 s"' in entry


def test_a_host_that_dies_later_is_recovered_within_70_s(
    keeper: Keeper, redis_client: redis.Redis, clock: Clock
) -> None:
    """Whatever the moment of its death is beside those of the looks."""
    keeper.watch(100, redis_client, clock, ME, SILENT, BACK)
    for second in range(15):
        keeper.watch(second, redis_client, clock, ME, BACK)
        dies = f"{OTHER}:{second}:1000"
        register(redis_client, dies)
        died = clock.now
        while dies in processes(redis_client):
            keeper.watch(1, redis_client, clock, ME, BACK)
        assert 60 <= clock.now - died <= 60 + LOOK_SECONDS + 1 <= 70


def test_without_the_lease_nobody_is_judged(
    keeper: Keeper, redis_client: redis.Redis, clock: Clock
) -> None:
    keeper.lease.held = False
    keeper.watch(200, redis_client, clock)
    assert processes(redis_client) == {ME, SILENT, BACK}


def test_a_successor_goes_on_with_what_was_seen(
    redis_url: str, keeper: Keeper, redis_client: redis.Redis, clock: Clock
) -> None:
    memory = SharedMemory()
    for seconds in (50, 12):
        each = Keeper(redis_url, memory)
        with closing(each.store):
            each.watch(seconds, redis_client, clock, ME)
    assert processes(redis_client) == {ME}


@pytest.mark.parametrize("seconds", [90, -90, 7200, -7200, 10**9])
def test_steps_of_the_servers_clock_kill_nobody(
    keeper: Keeper, redis_client: redis.Redis, clock: Clock, seconds: int
) -> None:
    """Two beat, one before the step and one after it; a third one is dead."""
    for n in range(7):
        redis_client.zincrby(KEYS.ledgers, 10_000, ME)
        redis_client.zincrby(KEYS.ledgers, 10_000 + (1000 * seconds if n == 3 else 0), BACK)
        assert processes(redis_client) == {ME, SILENT, BACK}
        keeper.watch(10, redis_client, clock)
    assert processes(redis_client) == {ME, BACK}


def test_one_that_beats_after_it_was_judged_lives(
    keeper: Keeper, redis_client: redis.Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The judge was held up between its look and what follows."""
    keeper.watch(60, redis_client, clock, ME)
    recover = keeper.dead.recover

    def later(*found: Any) -> bool:
        beat(redis_client, [BACK])
        return recover(*found)

    monkeypatch.setattr(keeper.dead, "recover", later)
    keeper.watch(1, redis_client, clock, ME)
    assert processes(redis_client) == {ME, BACK}
    assert redis_client.hget(KEYS.ledger(BACK), "state") == b"0 1 0 0 0 0"
    assert redis_client.smembers(KEYS.workers) == {WORKER.encode(), OTHER.encode()}


def test_two_at_once_recover_each_job_once(
    redis_url: str, keeper: Keeper, redis_client: redis.Redis, clock: Clock
) -> None:
    """The lease of one had expired while it was stopped: both have it, and judge the same."""
    dead = [f"{OTHER}:{n}:1000" for n in range(30, 60)]
    register(redis_client, *dead)
    keepers = [keeper, Keeper(redis_url)]
    for second in range(61):
        if not second % 10:
            beat(redis_client, [ME])
        for each in keepers:
            if second < 60 and each.prune.due(clock.now) <= 0:
                each.prune.run(each.store)
        clock.now += second < 60
    together = threading.Barrier(2)

    def run(each: Keeper) -> None:
        together.wait()
        each.prune.run(each.store)

    threads = [threading.Thread(target=run, args=(each,)) for each in keepers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keepers[1].store.close()
    assert processes(redis_client) == {ME}
    jobs = redis_client.lrange(KEYS.queue("q"), 0, -1)
    assert sorted(jobs) == sorted(process.encode() for process in (SILENT, BACK, *dead))
    assert redis_client.smembers(KEYS.workers) == {WORKER.encode()}


FOREIGN = {
    "ny:1:q": "2026-11-26T07:55:36-05:00",
    "ist:1:q": "2026-01-01T00:00:00+05:30",
    "fork:1:q:1:1:1": "2026-01-01T00:00:00+00:00",
    "nonsense:1:q": "x",
}


def test_workers_of_other_programs_are_not_judged(
    keeper: Keeper, redis_client: redis.Redis, clock: Clock
) -> None:
    """Their heartbeats are in local time, and their kind has rules of its own."""
    redis_client.sadd(KEYS.workers, "silent:1:q", *FOREIGN)
    redis_client.hset(KEYS.heartbeats, mapping=FOREIGN)
    keeper.watch(200, redis_client, clock, ME)
    assert redis_client.smembers(KEYS.workers) == {
        name.encode() for name in (WORKER, "silent:1:q", *FOREIGN)
    }
    beats = {
        name.decode(): beat.decode() for name, beat in redis_client.hgetall(KEYS.heartbeats).items()
    }
    assert FOREIGN.items() <= beats.items()


def test_a_worker_of_gresque_without_processes_is_forgotten(
    keeper: Keeper, redis_client: redis.Redis, clock: Clock
) -> None:
    """Its master was killed when no process was there."""
    redis_client.hset(KEYS.masters, "gone:1:q:1:1:1", "then")
    redis_client.sadd(KEYS.workers, "gone:1:q:1:1:1")
    keeper.watch(60, redis_client, clock, ME)
    assert redis_client.sismember(KEYS.workers, "gone:1:q:1:1:1")
    keeper.watch(1, redis_client, clock, ME)
    assert redis_client.smembers(KEYS.workers) == {WORKER.encode()}


def test_one_that_cannot_be_recovered_holds_up_nobody(
    keeper: Keeper,
    redis_client: redis.Redis,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    redis_client.zadd(KEYS.ledgers, {"odd": 5, b"\xff:1:2": 7, "": 1e300})
    recovery_for = dead.recovery_for

    def refuse(settings: Settings) -> Any:
        recovery = recovery_for(settings)
        recover = recovery.recover

        def one(process: Any) -> Totals:
            if process.process_id == SILENT:
                raise ValueError("no ledger")
            return recover(process)

        monkeypatch.setattr(recovery, "recover", one)
        return recovery

    monkeypatch.setattr(dead, "recovery_for", refuse)
    keeper.watch(100, redis_client, clock, ME)
    assert not {BACK, "odd", ""} & processes(redis_client)
    assert SILENT in processes(redis_client)
    logged = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert logged == [f"cannot recover the dead process {SILENT}: ValueError: no ledger"]


def test_a_long_recovery_lets_the_lease_be_renewed(
    keeper: Keeper, redis_client: redis.Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    recovery_for = dead.recovery_for

    def slow(settings: Settings) -> Any:
        recovery = recovery_for(settings)
        recover = recovery.recover

        def one(process: Any) -> Totals:
            clock.now += 2
            return recover(process)

        monkeypatch.setattr(recovery, "recover", one)
        return recovery

    monkeypatch.setattr(dead, "recovery_for", slow)
    keeper.watch(61, redis_client, clock, ME)
    assert len(processes(redis_client)) == 2
    assert keeper.prune.due(clock.now) <= 0, "it goes on at once"
    keeper.prune.run(keeper.store)
    assert processes(redis_client) == {ME}
    assert redis_client.llen(KEYS.queue("q")) == 2
