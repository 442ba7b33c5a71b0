"""Worker processes as they stand in Redis."""

from __future__ import annotations

import pytest
import redis

from benchmarks.held import Traffic
from gresque.store import processes
from gresque.store.ledger import LedgerEntry, Totals
from gresque.store.processes import Held
from gresque.store.store import Store
from tests.support.ledgers import KEY, entry, hold, read_ledger

Redis = redis.Redis


def test_ledgers(store: Store, redis_client: Redis) -> None:
    assert store.processes.ids() == []
    assert read_ledger(store, "p") == ({}, Totals(), False, {}, None)
    hold(redis_client, "p", "3 2 1 0 0 0", _0=b"x", _7=b"\xff:")
    hold(redis_client, "q")
    assert store.processes.ids() == ["p", "q"]
    held = read_ledger(store, "p")
    assert held.entries == {b"0": LedgerEntry(KEY, b"x"), b"7": LedgerEntry(KEY, b"\xff:")}
    assert held.totals == Totals(2, 1, 0, 0)


def test_a_process_that_was_declared_dead(store: Store, redis_client: Redis) -> None:
    hold(redis_client)
    assert store.processes.fenced_among(["p", "q"]) == set()
    store.recovery.fence("p")
    assert store.processes.fenced_among(["p", "q"]) == {"p"}
    assert store.processes.fenced_among([]) == set()


def test_whether_it_holds_a_job_still(store: Store, redis_client: Redis) -> None:
    hold(redis_client, _0=b"x", _1=b"y")
    (x,) = store.processes.find_held(["p"], "x")
    (y,) = store.processes.find_held(["p"], "y")
    assert x == Held("p", b"0", LedgerEntry(KEY, b"x"))
    assert y == Held("p", b"1", LedgerEntry(KEY, b"y"))
    assert store.processes.holds([x, y]) == [True, True]
    redis_client.hset("resque:ledger:p", "0", entry(b"another"))
    assert store.processes.holds([x, y]) == [False, True]
    redis_client.zrem("resque:ledgers", "p")
    assert store.processes.holds([x, y]) == [False, False]


@pytest.mark.parametrize(("at_once", "calls"), [(1, 4), (3, 4), (4, 3), (6, 2), (100, 1)])
def test_redis_looks_through_so_many_jobs_at_once(
    store: Store,
    redis_client: Redis,
    monkeypatch: pytest.MonkeyPatch,
    at_once: int,
    calls: int,
) -> None:
    """Ledgers of 3, 3, 1 and 3 fields."""
    for process in "prst":
        hold(redis_client, process, _0=b"x", **({} if process == "s" else {"_1": b"y"}))
    redis_client.hdel("resque:ledger:s", "0")
    monkeypatch.setattr(processes, "SCANNED_AT_ONCE", at_once)
    with Traffic(redis_client) as traffic:
        found = store.processes.find_held(store.processes.ids(), "y")
    assert [held.process for held in found] == ["p", "r", "t"]
    assert sum(n for name, n in traffic.calls.items() if name.startswith("eval")) == calls
    assert store.processes.held_by_queue(store.processes.ids()) == [
        {"a": 2}, {"a": 2}, {}, {"a": 2},
    ]  # fmt: skip
