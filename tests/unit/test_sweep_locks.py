"""Locks whose jobs are nowhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import redis

from gresque.jobs import payload
from gresque.maintenance import sweep_locks as module
from gresque.maintenance.lease import Lease
from gresque.maintenance.sweep_locks import SweepLocks
from gresque.maintenance.task import NEVER
from gresque.store.store import Store
from tests.support.ledgers import hold
from tests.unit.test_by_hand import Bench, digest, job, job_id, lock

OLD_MS = 601_000


@pytest.fixture
def bench(redis_url: str, store: Store, redis_client: redis.Redis) -> Bench:
    return Bench(redis_url, store, redis_client)


@pytest.fixture
def sweep() -> SweepLocks:
    lease = Lease("me")
    lease.held = True
    return SweepLocks(lease)


def take(bench: Bench, number: int, mode: str = "both", **fields: Any) -> None:
    since = int(bench.store.now() * 1000) - OLD_MS
    bench.hold(number, mode, **{"queue": "a", "since": str(since), **fields})
    bench.client.pexpire(lock(number), 80_000_000)


def locks(bench: Bench) -> set[str]:
    return {key.decode() for key in bench.client.scan_iter("resque:unique:*")}


def hold_job(bench: Bench, raw: bytes, process: str = "p") -> None:
    hold(bench.client, _0=raw)
    assert process == "p"


PLACES: dict[str, Callable[[Bench], Any]] = {
    "queue": lambda bench: bench.client.rpush("resque:queue:other", b"x", job(1), b"y"),
    "suspects": lambda bench: bench.client.rpush("resque:suspects:2:a", job(1)),
    "later": lambda bench: bench.delay(1),
    "ledger": lambda bench: hold_job(bench, job(1)),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_lock_stays_while_its_job_is_somewhere(
    bench: Bench, sweep: SweepLocks, place: str
) -> None:
    PLACES[place](bench)
    bench.client.sadd("resque:queues", "other")
    bench.client.sadd("resque:suspects", "a")
    take(bench, 1)
    take(bench, 2)
    sweep.run(bench.store)
    assert locks(bench) == {lock(1)}


def test_a_lock_that_is_young_or_a_throttle_stays(bench: Bench, sweep: SweepLocks) -> None:
    now = int(bench.store.now() * 1000)
    take(bench, 1, since=str(now))
    take(bench, 2, mode="throttle")
    take(bench, 3, mode="running")  # called, and not started: it expires in a minute
    sweep.run(bench.store)
    assert len(locks(bench)) == 3


def test_of_a_job_that_is_gone_the_next_run_comes(bench: Bench, sweep: SweepLocks) -> None:
    """Also one that its queue refused before."""
    take(bench, 1, again=job(1).replace(job_id(1).encode(), job_id(2).encode()), again_id=job_id(2))
    sweep.run(bench.store)
    (raw,) = bench.client.lrange("resque:queue:a", 0, -1)
    assert payload.id_of(raw) == job_id(2)
    assert bench.client.hget(lock(1), "id") == job_id(2).encode()


@pytest.mark.parametrize("by", ["p 0", "dead 0"])
def test_a_lock_of_a_job_that_runs_alone(bench: Bench, sweep: SweepLocks, by: str) -> None:
    """It counts for the slot that has it: the same job may wait for it elsewhere."""
    hold_job(bench, job(1, "running"))
    bench.client.rpush("resque:queue:a", job(1, "running"))
    bench.client.sadd("resque:queues", "a")
    take(bench, 1, mode="running", by=by)
    sweep.run(bench.store)
    assert bool(locks(bench)) is (by == "p 0")


def test_a_lock_lives_as_long_as_its_job_runs(bench: Bench, sweep: SweepLocks) -> None:
    hold_job(bench, job(1, "running"))
    take(bench, 1, mode="running", by="p 0")
    bench.client.pexpire(lock(1), 5_000)
    sweep.run(bench.store)
    assert bench.client.pttl(lock(1)) > 80_000_000


def test_what_moves_while_it_looks_is_not_released(
    bench: Bench, sweep: SweepLocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job leaves a queue that was not read yet for a place that was."""
    take(bench, 1)
    bench.put(9)
    bench.client.rpush("resque:queue:a", job(1))
    original = bench.store.locks.waiting_in

    def waiting_in(queue: str) -> Any:
        if bench.client.lrem("resque:queue:a", 1, job(1)):
            bench.delay(1)
            take(bench, 1)
        return original(queue)

    monkeypatch.setattr(bench.store.locks, "waiting_in", waiting_in)
    sweep.run(bench.store)
    assert lock(1) in locks(bench)


def test_it_gives_way_to_other_tasks(
    bench: Bench, sweep: SweepLocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PASS_SECONDS", 0.0)
    for number in range(3):
        take(bench, number)
    runs = 0
    while sweep.due(time.monotonic()) <= 0:
        sweep.run(bench.store)
        runs += 1
        assert runs < 100
    assert runs > 3 and not locks(bench)
    sweep._lease.held = False
    assert sweep.due(0.0) == NEVER


def test_many_jobs_are_read_page_by_page(bench: Bench) -> None:
    bench.client.rpush("resque:queue:a", *(job(n) for n in range(1234)))
    found = set[str]()
    for page in bench.store.locks.waiting_in("a"):
        assert len(page) <= 500
        found |= page
    assert found == {job_id(n) for n in range(1234)}
    assert digest(1) in lock(1)
