"""Counts of jobs in flight while processes are killed: never above a cap, and 0 at the end."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from gresque.control.counts import verify_counts
from gresque.store.store import Store
from tests.process.support import Bench, Master, wait_for
from tests.support.ledgers import counts

CAP, OWN_CAP = 6, 4


@pytest.fixture
def store(bench: Bench) -> Iterator[Store]:
    store = Store(bench.redis_url, bench.namespace)
    yield store
    store.close()


def start(bench: Bench) -> Master:
    """Two processes with one cap of their own, beside that of all workers."""
    width = ("-w", "2", "-t", "5", "-j", "100000", "--max-recoveries", "0")
    return bench.start("-q", f"q:{OWN_CAP}", *width)


def check(bench: Bench, store: Store) -> None:
    """At one moment: the script that compares them sees both."""
    assert verify_counts(store) == []
    assert bench.held() <= CAP
    for counter, queues in counts(store).items():
        assert queues["q"] <= (CAP if counter == store.keys.inflight else OWN_CAP)


def test_processes_that_are_killed(bench: Bench, store: Store) -> None:
    bench.client.limit("q", concurrent=CAP)
    bench.client.enqueue_many("CountSlowly", [(str(n), 0.05) for n in range(120)], queue="q")
    masters = [start(bench), start(bench)]
    for killed in range(4):
        wait_for(lambda: bench.begun() >= 10 * (killed + 1))  # noqa: B023
        check(bench, store)
        masters[killed % 2].kill_children()
        check(bench, store)
    wait_for(lambda: not bench.client.size("q") and not bench.held())
    check(bench, store)
    assert set(bench.runs()) == {str(n) for n in range(120)}
    assert counts(store) == {}
    for master in masters:
        master.signal(signal.SIGTERM)
        assert master.wait() == 0
        assert "is corrected" not in master.log


def test_a_worker_that_is_killed_as_a_whole(bench: Bench, store: Store) -> None:
    """The next master of the machine finds the dead processes, and its own take their places."""
    bench.client.limit("q", concurrent=OWN_CAP)
    bench.client.enqueue_many("CountWhenLet", [(str(n),) for n in range(12)], queue="q")
    dead = start(bench)
    wait_for(lambda: bench.begun() == OWN_CAP)
    before = counts(store)
    assert len(before) == 2
    assert all(queues == {"q": OWN_CAP} for queues in before.values())
    dead.kill()
    assert counts(store) == before, "until somebody recovers them"
    master = start(bench)
    wait_for(lambda: bench.begun() == 2 * OWN_CAP)
    check(bench, store)
    assert not counts(store).keys() & (before.keys() - {store.keys.inflight})
    bench.let()
    wait_for(lambda: not bench.client.size("q") and not bench.held())
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert counts(store) == {}


def test_jobs_that_go_back_or_fail_at_a_shutdown(bench: Bench, store: Store) -> None:
    bench.client.limit("q", concurrent=CAP)
    for _ in range(10):
        bench.client.enqueue_to("q", "FailWhenCut", 60.0)
        bench.client.enqueue_to("q", "CountWhenLet", "back")
    master = start(bench)
    wait_for(lambda: bench.held() == OWN_CAP)
    check(bench, store)
    master.signal(signal.SIGTERM)
    master.signal(signal.SIGQUIT)
    master.wait()
    assert bench.held() == 0
    assert counts(store) == {}
