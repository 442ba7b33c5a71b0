"""Delayed jobs in numbers: how late they are, and what waiting costs."""

from __future__ import annotations

import random
import statistics
import time

from gresque.maintenance.lease import Lease
from gresque.store.store import Store
from tests.process.support import Bench, wait_for
from tests.process.test_maintenance import ARGUMENTS, holder


def test_how_late_1_000_jobs_are(bench: Bench) -> None:
    master = bench.start(*ARGUMENTS)
    wait_for(lambda: holder(master))
    now = time.time()
    for _ in range(1000):
        due = round(now + random.uniform(3, 23), 3)
        bench.client.options("When", queue="q", at=due).enqueue(due)
    wait_for(lambda: bench.redis.llen("when") == 1000, 40)
    late = []
    for raw in bench.redis.lrange("when", 0, -1):
        due, began = map(float, raw.split())
        late.append(1000 * (began - due))
    p99 = statistics.quantiles(late, n=100)[98]
    print(f"least {min(late):.1f} ms, median {statistics.median(late):.1f}, p99 {p99:.1f}")
    assert min(late) >= 0
    assert p99 < 200


def test_a_job_that_waits_costs_no_commands(bench: Bench) -> None:
    """Counted are all that a master with one idle process sends, its worker process included, and
    those that its scripts call."""
    master = bench.start(*ARGUMENTS)
    wait_for(lambda: holder(master))
    rates = []
    for _ in range(2):
        time.sleep(5)  # commands are counted over time, from when what came before has ended
        before = _commands(bench)
        time.sleep(20)
        rates.append((_commands(bench) - before) / 20)
        bench.client.options("Count", queue="q", in_=3600).enqueue("far")
    print(f"commands a second: {rates[0]:.2f}, with a delayed job {rates[1]:.2f}")
    assert rates[1] < rates[0] + 0.5


def _commands(bench: Bench) -> int:
    return int(bench.redis.info("stats")["total_commands_processed"])


def test_a_hundred_that_stand_by_ask_seldom(store: Store) -> None:
    """They send at most 30 commands a second together while one holds the lease."""
    leases = [Lease(f"host {number}") for number in range(101)]
    for lease in leases:
        lease.run(store)
    assert [lease.held for lease in leases] == [True] + 100 * [False]
    store.redis.config_resetstat()
    started = time.monotonic()
    while time.monotonic() < started + 25:
        now = time.monotonic()
        for lease in leases:
            if lease.due(now) <= 0:
                lease.run(store)
        time.sleep(0.005)
    rate = store.redis.info("commandstats")["cmdstat_evalsha"]["calls"] / 25
    print(f"{rate:.1f} commands a second")
    assert leases[0].held and sum(lease.held for lease in leases) == 1
    assert rate <= 30
