"""Metrics of real worker processes: each job is counted once, and it does not matter
which process brings its end to Redis."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from gresque.inspector.metrics import MetricsReader
from gresque.store.metric_fields import Counts
from gresque.store.store import Store
from tests.process.support import Bench, wait_for


@pytest.fixture
def reader(bench: Bench) -> Iterator[MetricsReader]:
    store = Store(bench.redis_url, bench.namespace)
    yield MetricsReader(store)
    store.close()


def in_seconds(bench: Bench) -> Counter[str]:
    """All that stands in the hashes of seconds."""
    found: Counter[str] = Counter()
    for key in bench.redis.keys("resque:metrics:second:*"):
        for name, count in bench.redis.hgetall(key).items():
            found[name.decode()[-1]] += int(count)
    return +found


def counted(bench: Bench) -> Counter[str]:
    failed = bench.stat("failed")
    return +Counter(d=bench.stat("processed") - failed, f=failed, r=bench.stat("retried"))


def enqueue(bench: Bench, good: int) -> None:
    bench.client.enqueue_many("Nothing", [(n,) for n in range(good)], queue="q")
    bench.client.enqueue_many("Boom", [(str(n),) for n in range(3)], queue="q")


@pytest.mark.parametrize(
    "width", [("-w", "2", "-t", "1", "-j", "1"), ("-w", "2", "-t", "20", "-j", "50")]
)
def test_short_lives(bench: Bench, reader: MetricsReader, width: tuple[str, ...]) -> None:
    """Their counts come by the maintenance process, and by their master at its end."""
    enqueue(bench, 40)
    master = bench.start("-q", "q", *width)
    wait_for(lambda: bench.stat("processed") == 43)
    wait_for(lambda: in_seconds(bench) == counted(bench))
    enqueue(bench, 20)
    wait_for(lambda: bench.stat("processed") == 66)
    master.signal(signal.SIGQUIT)
    assert master.wait() == 0
    assert in_seconds(bench) == counted(bench) == Counter(d=60, f=6)
    by_job = {pair.job: pair for pair in reader.pairs(10)}
    assert by_job["Nothing"].counts == Counts(60)
    assert by_job["Boom"].counts == Counts(failed=6)
    assert list(by_job["Boom"].exceptions.values()) == [6]
    assert [each.job for each in reader.failing()] == ["Boom"]
    assert reader.run_times()["Nothing"].count == 60
    if width[-1] != "1":  # else one process of 16 reads them
        assert reader.waiting_times()["q"].count >= 60


def test_a_burst(bench: Bench) -> None:
    enqueue(bench, 30)
    bench.run("-q", "q", "-w", "2", "-t", "5", "-j", "10", "--interval", "0")
    assert in_seconds(bench) == counted(bench) == Counter(d=30, f=3)


def test_a_process_in_which_nothing_ends_any_more(bench: Bench) -> None:
    """Its loop stands still, and no turn takes what ended before."""
    bench.start("-q", "q", "-w", "1", "-t", "5", "-j", "1000")
    enqueue(bench, 10)
    wait_for(lambda: bench.stat("processed") == 13)
    bench.client.enqueue_to("q", "Behave", "spin")
    wait_for(lambda: in_seconds(bench) == Counter(d=10, f=3))


def test_metrics_off(bench: Bench) -> None:
    enqueue(bench, 10)
    bench.run("-q", "q", "-w", "1", "-t", "5", "-j", "10", "--interval", "0", "--no-metrics")
    assert not bench.redis.keys("resque:metrics:*")


def test_kills_lose_a_second_at_most(bench: Bench) -> None:
    master = bench.start("-q", "q", "-w", "1", "-t", "5", "-j", "100000")
    bench.client.enqueue_many("CountSlowly", [(str(n), 0.05) for n in range(400)], queue="q")
    wait_for(lambda: bench.stat("processed") > 100)
    before = bench.stat("processed")
    time.sleep(1.2)
    master.kill_children()
    killed = bench.stat("processed")
    wait_for(lambda: bench.stat("processed") >= 400)
    master.signal(signal.SIGQUIT)
    assert master.wait() == 0
    lost = bench.stat("processed") - sum(in_seconds(bench).values())
    assert 0 <= lost <= killed - before + 20
