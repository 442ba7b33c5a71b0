"""Delayed jobs with real workers: on time, once, and whatever dies."""

from __future__ import annotations

import json
import random
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from gresque.maintenance.process import LONGEST_WAIT_SECONDS
from tests.process.support import Bench, wait_for
from tests.process.test_maintenance import ARGUMENTS, holder

ELSEWHERE = ("-q", "elsewhere", "-w", "1", "-t", "1", "-j", "1000")
"""A worker that promotes jobs of queues that it does not serve: they stay there to be looked at."""


def delay_by_ruby(bench: Bench, due: int, *items: bytes) -> None:
    pipeline = bench.redis.pipeline()
    for item in items:
        pipeline.rpush(f"resque:delayed:{due}", item)
        pipeline.sadd(b"resque:timestamps:" + item, f"delayed:{due}")
        pipeline.zadd("resque:delayed_queue_schedule", {str(due): due})
    pipeline.execute()


def args(bench: Bench, queue: str) -> list[Any]:
    items = bench.redis.lrange(f"resque:queue:{queue}", 0, -1)
    return [json.loads(item)["args"][0] for item in items]


def test_jobs_run_when_they_are_due_and_leave_no_key(bench: Bench) -> None:
    master = bench.start(*ARGUMENTS)
    wait_for(lambda: holder(master))
    client = bench.client
    lateness = []
    now = time.time()
    for _ in range(20):
        due = now + random.uniform(0.5, 1.5)
        assert client.options("When", queue="q", at=due).enqueue(due)
    delay_by_ruby(
        bench, int(now) + 1, *[b'{"class":"When","args":[%d],"queue":"q"}' % (now + 1)] * 4
    )
    cancelled = client.options("Count", queue="q", in_=1).enqueue("cancelled")
    assert cancelled and client.cancel(cancelled)
    wait_for(lambda: bench.stat("processed") == 24)
    for raw in bench.redis.lrange("when", 0, -1):
        due, began = map(float, raw.split())
        lateness.append(began - due)
    assert min(lateness) >= 0, "never early"
    # On time, and not when somebody looks every some seconds: many of them, on a busy machine.
    assert sorted(lateness)[6] < 0.5
    assert client.delayed_count() == 0
    assert bench.runs() == {}
    master.process.terminate()
    assert master.wait() == 0
    assert bench.keys() == {"resque:queues", "resque:stat:processed"}


def test_an_idle_one_hears_of_an_earlier_job(bench: Bench) -> None:
    """It had read that nothing is due for an hour."""
    master = bench.start(*ARGUMENTS)
    wait_for(lambda: holder(master))
    bench.client.options("Count", queue="q", in_=3600).enqueue("far")
    took = []
    for n in range(3):
        scheduled = time.monotonic()
        bench.client.options("Count", queue="q", in_=0.2).enqueue(f"near {n}")
        wait_for(lambda n=n: bench.runs().get(f"near {n}") == 1)
        took.append(time.monotonic() - scheduled)
    assert min(took) < 0.9 * LONGEST_WAIT_SECONDS, took


def test_the_holder_of_the_lease_dies_while_it_promotes(bench: Bench) -> None:
    """Nothing is lost and nothing comes twice."""
    master = bench.start(*ELSEWHERE)
    wait_for(lambda: holder(master))
    kills = jobs = 0
    while not kills:  # where the test has no time to kill it, it has to do the same again
        due = int(time.time()) + 2
        own = [(n,) for n in range(jobs, jobs + 10_000)]
        bench.client.enqueue_many("Job", own, queue="own", at=due)
        for start in range(jobs, jobs + 10_000, 1000):
            items = [
                b'{"class":"J","args":[%d],"queue":"ruby"}' % n for n in range(start, start + 1000)
            ]
            delay_by_ruby(bench, due, *items)
        while bench.client.delayed_count():
            keeper = holder(master)
            if keeper is not None and time.time() > due + 0.05 * kills:
                keeper.kill()
                kills += 1
            time.sleep(random.uniform(0.01, 0.1))
        jobs += 10_000
        assert jobs < 100_000
    for queue in ("own", "ruby"):
        assert sorted(args(bench, queue)) == list(range(jobs))
    assert bench.redis.keys("resque:timestamps:*") == []
    assert not bench.redis.exists(
        "resque:delayed_queue_schedule", "resque:later", "resque:later:jobs"
    )


@pytest.mark.parametrize("action", ["cancel", "run_now"])
def test_a_change_by_hand_races_with_the_due_time(bench: Bench, action: str) -> None:
    """A job is cancelled or moved, and the reply says which."""
    master = bench.start(*ELSEWHERE)
    wait_for(lambda: holder(master))
    due = time.time() + 1
    ids = bench.client.enqueue_many("Job", [(n,) for n in range(300)], queue="own", at=due)
    wait_for(lambda: time.time() > due - 0.02)
    changed = {n for n, job_id in enumerate(ids) if getattr(bench.client, action)(job_id)}
    wait_for(lambda: bench.client.delayed_count() == 0)
    found = args(bench, "own")
    assert len(found) == len(set(found))
    if action == "cancel":
        assert changed | set(found) == set(range(300))
        assert not changed & set(found)
    else:
        assert sorted(found) == list(range(300))


def test_a_burst_moves_what_is_due_and_waits_for_nothing(bench: Bench) -> None:
    bench.client.options("Count", queue="q", at=5).enqueue("due at once")
    bench.client.options("Count", queue="q", in_=0.1).enqueue("due by then")
    bench.client.options("Count", queue="q", in_=3600).enqueue("later")
    delay_by_ruby(bench, 5, b'{"class":"Count","args":["ruby"],"queue":"q"}')
    time.sleep(0.2)
    bench.run("-q", "q", "--burst")
    assert bench.runs() == {"due at once": 1, "due by then": 1, "ruby": 1}
    assert bench.client.delayed_count() == 1


def test_the_clock_of_a_program_does_not_matter(bench: Bench) -> None:
    """A delay counts by the server's clock."""
    master = bench.start(*ARGUMENTS)
    wait_for(lambda: holder(master))
    real = time.time
    try:
        for wrong, name in ((-3600, "behind"), (3600, "ahead")):
            time.time = lambda by=wrong: real() + by  # type: ignore[misc]
            bench.client.options("Count", queue="later", in_=600).enqueue(name)
            bench.client.options("Count", queue="q", in_=1).enqueue(name)
    finally:
        time.time = real
    later = [job for job in bench.client.delayed(0, 4) if job.queue == "later"]
    assert len(later) == 2
    for job in later:  # due times are whole milliseconds, never too early
        assert 400 < (job.due - datetime.now(UTC)).total_seconds() <= 600.001
    wait_for(lambda: bench.runs() == {"behind": 1, "ahead": 1})


def test_connections_that_are_cut_do_not_keep_jobs(bench: Bench) -> None:
    master = bench.start(*ARGUMENTS)
    wait_for(lambda: holder(master))
    for n in range(3):
        bench.redis.client_kill_filter(_type="normal", skipme=True)
        bench.client.options("Count", queue="q", in_=0.2).enqueue(f"{n}")
        wait_for(lambda n=n: bench.runs().get(f"{n}") == 1)
