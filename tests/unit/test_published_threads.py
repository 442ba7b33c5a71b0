"""What a process publishes for the page of the Ruby fork, and the kills of that page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
import redis

from gresque.connection.tracked import TrackedConnection
from gresque.store.store import Store
from gresque.worker.native import published_threads
from gresque.worker.native.published_threads import MOST_JOBS, PublishedThreads
from gresque.worker.turns.in_flight import ReservedJob
from tests.support.pool_bench import PATIENCE_SECONDS, OpenBench, PoolBench
from tests.support.registered import KEYS, ME, WORKER, register

SET = KEYS.worker_threads(WORKER)
PID = ME.rsplit(":", 2)[1]
KILLS = KEYS.worker_kills(WORKER, PID)


class Clock:
    """Time that passes when a test says so. Jobs began long ago."""

    def __init__(self) -> None:
        self.now = 1e6

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1795699407.0 + self.now - 1e6


class Sent:
    """Counts what goes to Redis."""

    def __init__(self, connection: TrackedConnection) -> None:
        self._connection = connection
        self.tracking = True
        self.bytes = self.calls = 0

    def run(self, script: Any, keys: int, *arguments: Any) -> Any:
        self.calls += 1
        self.bytes += 80 + sum(len(str(each)) + 8 for each in arguments)
        return self._connection.run(script, keys, *arguments)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(published_threads, "time", clock)
    return clock


@pytest.fixture
def sent(redis_url: str, redis_client: redis.Redis) -> Iterator[Any]:
    register(redis_client, ME)
    connection = TrackedConnection(redis_url, "resque")
    connection.connect()
    yield Sent(connection)
    connection.close()


def a_job(slot: int, size: int = 3) -> ReservedJob:
    item = {"class": "wait", "args": ["x" * size], "id": f"{slot:032x}"}
    return str(slot).encode(), "q", json.dumps(item, separators=(",", ":")).encode()


def busy(open_bench: OpenBench, count: int, size: int = 3) -> PoolBench:
    bench = open_bench(count)
    bench.add("wait", lambda text: gevent.sleep(PATIENCE_SECONDS))
    bench.put(*(a_job(slot, size) for slot in range(count)))
    bench.until(lambda: len(bench.pool.running_jobs()) == count)
    for number, thread in enumerate(bench.pool.threads):
        thread.since = float(number)
    return bench


def since(bench: PoolBench) -> dict[str, float]:
    return {t.job[0].decode(): t.since for t in bench.pool.threads if t.job is not None}


def names(client: redis.Redis) -> set[str]:
    return {name.decode() for name in client.smembers(SET)}


def shown(client: redis.Redis) -> list[int]:
    """The slots of the published jobs, by number."""
    ordered = sorted(names(client), key=lambda name: int(name.rsplit(":", 1)[1]))
    raws = [client.get(KEYS.worker_thread(name)) for name in ordered]
    return [int(json.loads(raw)["payload"]["id"], 16) for raw in raws if raw is not None]


def ends(bench: PoolBench, *slots: int) -> None:
    for slot in slots:
        bench.pool.threads[slot].job = None


def test_the_oldest_jobs_are_published_once(
    open_bench: OpenBench, sent: Any, clock: Clock, redis_client: redis.Redis
) -> None:
    bench = busy(open_bench, MOST_JOBS + 3)
    threads = PublishedThreads(KEYS, ME, bench.pool)
    threads.publish(sent, {})
    threads.publish(sent, {"0": clock.now - 1.9})
    assert sent.calls == 0, "where no job runs for long nothing is sent"
    threads.publish(sent, since(bench))
    assert shown(redis_client) == [*range(MOST_JOBS)]
    assert names(redis_client) == {f"{WORKER}:{PID}:{n}" for n in range(MOST_JOBS)}
    assert redis_client.ttl(KEYS.worker_thread(f"{WORKER}:{PID}:0")) > 50
    assert not redis_client.exists(KEYS.worker_job(WORKER)), "a Ruby worker would fail that job"
    calls = sent.calls
    for _ in range(30):
        clock.now += 1
        threads.publish(sent, since(bench))
    assert sent.calls == calls, "of jobs that go on nothing is said"
    ends(bench, 0, 7)
    threads.publish(sent, since(bench))
    assert shown(redis_client) == [n for n in range(MOST_JOBS + 2) if n not in (0, 7)]
    assert f"{WORKER}:{PID}:{MOST_JOBS + 1}" in names(redis_client), "no number is used again"
    redis_client.expire(KEYS.worker_thread(f"{WORKER}:{PID}:1"), 9)
    clock.now += 12
    threads.publish(sent, since(bench))
    assert redis_client.ttl(KEYS.worker_thread(f"{WORKER}:{PID}:1")) > 50, "it is renewed"
    ends(bench, *range(MOST_JOBS + 3))
    threads.publish(sent, {})
    assert redis_client.keys(f"resque:worker:{WORKER}:{PID}:*") == []
    assert names(redis_client) == set()


def test_what_redis_has_lost_is_published_again(
    open_bench: OpenBench, sent: Any, clock: Clock, redis_client: redis.Redis
) -> None:
    bench = busy(open_bench, 2)
    threads = PublishedThreads(KEYS, ME, bench.pool)
    threads.publish(sent, since(bench))
    redis_client.delete(SET, KEYS.worker_thread(f"{WORKER}:{PID}:1"))
    threads.forget()
    threads.publish(sent, since(bench))
    threads.publish(sent, since(bench))
    assert shown(redis_client) == [0, 1]


def test_a_process_that_is_not_registered_publishes_nothing(
    open_bench: OpenBench, sent: Any, clock: Clock, redis_client: redis.Redis
) -> None:
    bench = busy(open_bench, 2)
    threads = PublishedThreads(KEYS, ME, bench.pool)
    threads.publish(sent, since(bench))
    redis_client.rpush(KILLS, "0")
    redis_client.zrem(KEYS.ledgers, ME)
    ends(bench, 0)
    clock.now += 50
    threads.publish(sent, since(bench))
    assert not redis_client.exists(SET, KILLS, KEYS.worker_thread(f"{WORKER}:{PID}:1"))


@pytest.mark.parametrize("how", ["leaves", "dies"])
def test_only_its_own_are_removed(
    open_bench: OpenBench,
    sent: Any,
    clock: Clock,
    store: Store,
    redis_client: redis.Redis,
    how: str,
) -> None:
    sibling = f"{WORKER}:{PID}1:0"
    redis_client.sadd(SET, sibling)
    redis_client.set(KEYS.worker_thread(sibling), "{}")
    bench = busy(open_bench, 2)
    threads = PublishedThreads(KEYS, ME, bench.pool)
    threads.publish(sent, since(bench))
    redis_client.rpush(KILLS, "0")
    assert len(names(redis_client)) == 3
    if how == "leaves":
        redis_client.zrem(KEYS.ledgers, ME)
        threads.remove(sent)
    else:
        store.workers.forget_threads(WORKER, int(PID))
    assert names(redis_client) == {sibling}
    assert redis_client.exists(KEYS.worker_thread(sibling))
    assert not redis_client.exists(KILLS)


def test_a_kill_means_the_job_that_had_the_number(
    open_bench: OpenBench, sent: Any, clock: Clock, redis_client: redis.Redis, caplog: Any
) -> None:
    bench = busy(open_bench, 3)
    threads = PublishedThreads(KEYS, ME, bench.pool)
    threads.publish(sent, since(bench))
    ends(bench, 2)
    redis_client.rpush(KILLS, "1", "2", "99", "no number")
    threads.take_kills(sent, [b"another key"])
    assert redis_client.llen(KILLS) == 4
    caplog.set_level("INFO")
    threads.take_kills(sent, [KILLS.encode()])
    bench.until(lambda: bench.in_flight.failed == 1)
    (entry,) = bench.entries
    assert (entry["exception"], entry["error"]) == ("Resque::DirtyExit", "Job was killed")
    assert entry["payload"]["id"] == f"{1:032x}"
    assert not redis_client.exists(KILLS)
    late = [each for each in caplog.records if each.event == "kill_too_late"]
    assert [each.number for each in late] == ["2", "99", "no number"]


@pytest.mark.parametrize("size", [100, 15_000])
def test_a_thousand_jobs_that_end_all_the_time_cost_little(
    open_bench: OpenBench, sent: Any, clock: Clock, size: int
) -> None:
    """33 of them end each second: 450 bytes a second for a process, after the first 50."""
    bench = busy(open_bench, 300, size)
    threads = PublishedThreads(KEYS, ME, bench.pool)
    threads.publish(sent, since(bench))
    first, started = sent.bytes, clock.now
    assert first < MOST_JOBS * (size + 500)
    jobs = [thread.job for thread in bench.pool.threads]
    for second in range(240):
        clock.now += 1
        for slot in range(33):
            thread = bench.pool.threads[(33 * second + slot) % 300]
            name, queue, raw = jobs[thread._number] or (b"", "", b"")
            thread.job, thread.since = (name, queue, raw), clock.now - 30 + slot / 33
        threads.publish(sent, since(bench))
    a_second = (sent.bytes - first) / (clock.now - started)
    assert a_second < 900
