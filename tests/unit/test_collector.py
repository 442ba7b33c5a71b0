"""The collector that all viewers of a process share, and its snapshots."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

from benchmarks.held import Traffic, hold
from gresque.errors import RedisUnavailable
from gresque.inspector import collector as collector_module
from gresque.inspector.collecting import Collecting
from gresque.inspector.collector import Collector
from gresque.inspector.look import Look
from gresque.inspector.snapshot import Snapshot
from gresque.processes.vitals import Vitals
from gresque.store.store import Store
from tests.process.support import wait_for
from tests.support.cli import odd_workers
from tests.support.server import OwnServer
from tests.support.views import OTHER, PROCESS, fail, item, process, wait


@pytest.fixture
def collector(store: Store) -> Iterator[Collector]:
    found = Collector(store, every_seconds=0.05)
    yield found
    found.close()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[OwnServer]:
    found = OwnServer(tmp_path).start()
    yield found
    found.kill()


def fill(client: redis.Redis) -> None:
    process(client, PROCESS, item("A"), item("B"), item("C"), runs={"1": 5, "2": 90},
            blocks=("1", 3))  # fmt: skip
    process(client, OTHER, item("A"), beat_age=30, state=None)
    wait(client, "mail", item("A", age=70), item("B"))
    wait(client, "web", item("A"))
    client.sadd("resque:suspects", "mail")
    client.rpush("resque:suspects:1:mail", "{}")
    client.mset({"resque:stat:processed": 7, "resque:stat:failed": 2})
    client.hset("resque:policies", "mail", "c20")
    client.hset("resque:inflight", "mail", 3)
    fail(client, "A", 3)


def take(store: Store) -> Snapshot:
    return Collecting(store, "redis").take(1)


def test_it_reads_what_a_look_reads(store: Store, redis_client: redis.Redis) -> None:
    fill(redis_client)
    snapshot, look = take(store), Look.take(store, "redis")
    found = snapshot.look
    assert found.counts.waiting == look.counts.waiting == {"mail": 3, "web": 1}
    for name in ("suspects", "workers", "heartbeats", "kept_failed", "later"):
        assert getattr(found, name) == getattr(look, name), name
    assert [(p.id, p.held, p.totals, p.running, p.vitals) for p in found.processes] == [
        (p.id, p.held, p.totals, p.running, p.vitals) for p in look.processes
    ]
    assert found.flow.policies == look.flow.policies
    assert found.server["role"] == "master"


def test_rows(store: Store, redis_client: redis.Redis) -> None:
    fill(redis_client)
    snapshot = take(store)
    mail, web = snapshot.queues
    assert (mail.name, mail.waiting, mail.suspects, mail.counted) == ("mail", 3, 1, 3)
    assert (mail.is_served, web.is_served) == (True, False)
    assert mail.policy.cap == 20 and "at most 20 jobs" in mail.policy_text
    assert mail.age_seconds is not None and 70 <= mail.age_seconds < 100
    assert snapshot.oldest is mail
    assert snapshot.queue("web") is web
    blocked, silent = snapshot.processes
    assert (blocked.id, silent.id) == (PROCESS, OTHER)
    assert (blocked.state, silent.state) == ("blocked", "silent")
    assert (blocked.host, blocked.pid, blocked.master_pid) == ("vm", 11, 10)
    assert (blocked.threads, blocked.threads_used, snapshot.threads) == (4, 3, 8)
    assert [host.name for host in snapshot.hosts] == ["vm"]
    assert [each.slot for each in snapshot.running] == ["1", "2"]
    assert snapshot.running[0].blocks_since is not None
    assert snapshot.longest_seconds is not None and 90 <= snapshot.longest_seconds < 120
    assert (snapshot.waiting, snapshot.held, snapshot.expected_processes) == (4, 4, 2)


def test_what_others_keep_under_these_names(store: Store, redis_client: redis.Redis) -> None:
    odd_workers(redis_client)
    for key in ("queues", "suspects", "vitals", "stat:processed"):
        redis_client.rpush(f"resque:{key}", "x")
    snapshot = take(store)
    assert {each.id for each in snapshot.processes} >= {"odd", "w:x:y"}


def test_rates_and_growth(store: Store, redis_client: redis.Redis) -> None:
    wait(redis_client, "mail", item("A"))
    collecting = Collecting(store, "redis")
    first = collecting.take(1)
    assert (first.done_rate, first.paces) == (0.0, ())
    redis_client.mset({"resque:stat:processed": 70, "resque:stat:failed": 20})
    wait(redis_client, "mail", *[item("A")] * 50)
    second = collecting.take(2)
    seconds = second.at - first.at
    assert second.done_rate == pytest.approx(70 / seconds)
    assert second.failed_rate == pytest.approx(20 / seconds)
    (mail,) = second.queues
    assert mail.growth == pytest.approx(50 / seconds)
    assert mail.empty_seconds is None
    (pace,) = second.paces
    assert pace.done == pytest.approx(70 / seconds)
    assert pace.waiting == 51


def test_the_share_of_cpu(store: Store, redis_client: redis.Redis) -> None:
    process(redis_client, PROCESS)
    collecting = Collecting(store, "redis")

    def share(used: float) -> float | None:
        vitals = Vitals("ready", 0, 0, 0.0, 1, "mail", "0.1.0", cpu=used, rss=1)
        redis_client.hset("resque:vitals", PROCESS, vitals.encode())
        (row,) = collecting.take(1).processes
        return row.cpu_share

    assert share(5.0) is None
    found = share(5.5)
    assert found is not None and found > 0
    assert share(5.5) == found, "the same entry says nothing new"


def test_many_queues_are_read_in_thirds(store: Store, redis_client: redis.Redis) -> None:
    names = [f"q{number:03d}" for number in range(301)]
    for name in names:
        wait(redis_client, name, item("A"))
    collecting = Collecting(store, "redis")
    for _ in range(3):
        assert set(collecting.take(1).look.counts.waiting.values()) == {1}
    for name in names:
        wait(redis_client, name, item("A"))
    seen = []
    for _ in range(3):
        with Traffic(redis_client) as traffic:
            waiting = collecting.take(1).look.counts.waiting
        assert traffic.calls["llen"] < 120
        seen.append(sum(waiting.values()))
    assert seen == [301 + 101, 301 + 201, 301 + 301]


def test_few_calls(store: Store, redis_client: redis.Redis) -> None:
    hold(redis_client, processes=20, jobs=10)
    collecting = Collecting(store, "redis")
    collecting.take(1)
    with Traffic(redis_client) as traffic:
        collecting.take(2)
    assert sum(traffic.calls.values()) < 20 * 2 + 30
    assert traffic.bytes_sent < 20_000, "no payload is read"


def test_all_viewers_share_it(collector: Collector, redis_client: redis.Redis) -> None:
    numbers: set[int] = set()

    def look() -> None:
        for _ in range(20):
            numbers.add(collector.last().number)

    with Traffic(redis_client) as traffic:
        viewers = [threading.Thread(target=look) for _ in range(20)]
        for viewer in viewers:
            viewer.start()
        for viewer in viewers:
            viewer.join()
        last = collector.last().number
    assert max(numbers) <= last
    assert traffic.calls["zcard"] <= last + 1, "one a snapshot, and not 400"


def test_the_next_one(collector: Collector) -> None:
    first = collector.last()
    second = collector.after(first.number, 5.0)
    assert second is not None and second.number > first.number
    assert collector.after(second.number, 0.0) in (None, collector.seen)


def test_it_stops_when_nobody_asks(
    collector: Collector, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = collector.last()

    def collects() -> bool:
        return any(thread.name == "collector" for thread in threading.enumerate())

    assert collects()
    monkeypatch.setattr(collector_module, "LOOKED_SECONDS", 0.2)
    wait_for(lambda: not collects())
    with Traffic(redis_client) as traffic:
        pass
    assert "zcard" not in traffic.calls
    monkeypatch.setattr(collector_module, "LOOKED_SECONDS", 10.0)
    wait_for(lambda: before.age > 0.2)
    assert collector.last().number > before.number


def test_redis_away_and_back(own_server: OwnServer) -> None:
    store = Store(own_server.url, "resque")
    collector = Collector(store, every_seconds=0.05)
    try:
        wait(own_server.redis, "mail", item("A"))
        good = collector.last()
        assert good.trouble is None and not good.is_stale
        before = time.time()
        own_server.kill()
        wait_for(lambda: collector.last().trouble is not None, 10)
        found = collector.last()
        assert found.trouble is not None
        assert found.trouble.reason.startswith("no answer from Redis at ")
        assert before <= found.trouble.since <= time.time()
        assert found.is_stale and found.number > good.number
        assert found.waiting == 1, "the last numbers stay"
        number = found.number
        own_server.start()
        wait_for(lambda: collector.last().trouble is None, 10)
        assert collector.last().number > number
    finally:
        collector.close()
        store.close()


def test_redis_that_hangs(own_server: OwnServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector_module, "SILENT_SECONDS", 0.3)
    store = Store(own_server.url, "resque")
    collector = Collector(store, every_seconds=0.05)
    try:
        wait(own_server.redis, "mail", item("A"))
        number = collector.last().number
        own_server.stop()
        wait_for(lambda: collector.last(0.1).trouble is not None, 10)
        found = collector.last(0.1)
        assert found.trouble is not None and found.trouble.reason.endswith(" (it hangs)")
        assert found.verdict.lines[0].kind == "away"
        assert found.waiting == 1 and found.number > number
        own_server.resume()
        wait_for(lambda: collector.last(0.1).trouble is None, 10)
        assert collector.last().number > found.number
    finally:
        own_server.resume()
        collector.close()
        store.close()


def test_no_redis_from_the_start(tmp_path: Path) -> None:
    store = Store(f"unix://{tmp_path / 'none.sock'}", "resque")
    collector = Collector(store)
    with pytest.raises(RedisUnavailable, match="no answer from Redis at "):
        collector.last()
    collector.close()


def test_after_a_change_it_looks_again_at_once(store: Store, redis_client: redis.Redis) -> None:
    with closing(Collector(store, every_seconds=30)) as collector:
        for _ in range(2):
            collector.last()  # the second one comes soon in any case
        before = collector.after(1, 5)
        assert before is not None
        wait(redis_client, "mail", item("A"))
        assert collector.last().waiting == 0
        collector.renew()
        assert collector.last().waiting == 1
