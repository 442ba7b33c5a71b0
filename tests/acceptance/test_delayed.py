"""Delayed jobs in numbers: floods, and kills at every moment."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.process.support import Bench, Master, wait_for
from tests.process.test_delayed import ELSEWHERE, delay_by_ruby
from tests.process.test_maintenance import holder

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
