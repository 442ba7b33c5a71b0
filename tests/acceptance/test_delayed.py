"""Delayed jobs in numbers: floods, kills at every moment, and how late they are."""

from __future__ import annotations

import json
import random
import statistics
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from gresque.maintenance.lease import Lease
from gresque.store.store import Store
from tests.process.support import Bench, Master, wait_for
from tests.process.test_delayed import ELSEWHERE, delay_by_ruby
from tests.process.test_maintenance import ARGUMENTS, holder

MANY = 100_000


def fill(bench: Bench, kind: str, count: int, due: int) -> None:
    if kind == "later":
        bench.client.enqueue_many("Job", ((n,) for n in range(count)), queue="far", at=due)
        return
    for start in range(0, count, 1000):
        numbers = range(start, start + 1000)
        delay_by_ruby(
            bench, due, *(b'{"class":"J","args":[%d],"queue":"far"}' % n for n in numbers)
        )


def arrived(bench: Bench) -> Counter[int]:
    return Counter(
        json.loads(raw)["args"][0] for raw in bench.redis.lrange("resque:queue:far", 0, -1)
    )


@pytest.mark.parametrize("kind", ["later", "bucket"])
def test_100_000_due_in_one_second(bench: Bench, kind: str) -> None:
    master = bench.start(*ELSEWHERE)
    wait_for(lambda: holder(master))
    due = int(time.time()) + 40
    fill(bench, kind, MANY, due)
    assert time.time() < due
    bench.redis.config_set("slowlog-log-slower-than", 2000)
    bench.redis.config_set("slowlog-max-len", 10_000)
    bench.redis.slowlog_reset()
    time.sleep(due - time.time())
    wait_for(lambda: bench.redis.llen("resque:queue:far") == MANY, 30)
    took = time.time() - due
    slow = [entry["duration"] / 1000 for entry in bench.redis.slowlog_get(10_000)]
    print(
        f"{kind}: {took:.2f} s, longest script {max(slow, default=0):.1f} ms, {len(slow)} over 2 ms"
    )
    found = arrived(bench)
    assert set(found.values()) == {1} and len(found) == MANY
    assert took < 5
    assert max(slow, default=0) < 10
    wait_for(lambda: bench.client.delayed_count() == 0)
    assert bench.redis.keys("resque:timestamps:*") == []


@pytest.mark.parametrize("kind", ["later", "bucket"])
def test_the_holder_of_the_lease_is_killed_at_50_moments(bench: Bench, kind: str) -> None:
    """Two masters, so that the lease moves between hosts as well."""
    masters = [bench.start(*ELSEWHERE) for _ in range(2)]
    wait_for(lambda: any(map(holder, masters)))
    kills = total = 0
    while kills < 50:
        due = int(time.time()) + 2
        fill(bench, kind, 5000, due)
        total += 1
        time.sleep(max(due - time.time(), 0))
        while bench.client.delayed_count():
            time.sleep(random.uniform(0, 0.05))
            for keeper in map(holder, masters):
                if keeper is not None:
                    keeper.kill()
                    kills += 1
    found = arrived(bench)
    print(f"{kind}: {kills} kills, {sum(found.values()):,} jobs")
    assert set(found.values()) == {total}, "0 lost, 0 twice"
    assert len(found) == 5000


def test_10_000_pushes_into_lists_that_are_moved(bench: Bench) -> None:
    master = bench.start(*ELSEWHERE)
    wait_for(lambda: holder(master))
    numbers = iter(range(10_000))
    lock = threading.Lock()

    def push() -> None:
        server = Bench(bench.redis_url, bench.redis, Path("/nowhere"))
        while True:
            with lock:
                n = next(numbers, None)
            if n is None:
                return
            delay_by_ruby(server, int(time.time()), b'{"class":"J","args":[%d],"queue":"far"}' % n)

    threads = [threading.Thread(target=push) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_for(lambda: bench.client.delayed_count() == 0)
    found = arrived(bench)
    assert set(found.values()) == {1} and len(found) == 10_000
    assert bench.redis.keys("resque:timestamps:*") == []


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


def test_two_that_promote_without_a_lease(bench: Bench) -> None:
    """Each of them has taken the lease, as when the server has lost it."""
    masters: list[Master] = []
    stop = threading.Event()

    def free_the_lease() -> None:
        while not stop.wait(0.05):
            bench.redis.delete("resque:maintenance")

    thread = threading.Thread(target=free_the_lease)
    thread.start()
    try:
        masters += [bench.start(*ELSEWHERE) for _ in range(2)]
        wait_for(lambda: all(map(holder, masters)))
        for kind in ("later", "bucket"):
            bench.redis.delete("resque:queue:far")
            due = int(time.time()) + 4
            fill(bench, kind, 20_000, due)
            wait_for(lambda due=due: time.time() > due and bench.client.delayed_count() == 0)
            found = arrived(bench)
            assert set(found.values()) == {1} and len(found) == 20_000
    finally:
        stop.set()
        thread.join()


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
