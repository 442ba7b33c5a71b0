"""The vitals of a process: read off its row of the scoreboard, and off /proc."""

from __future__ import annotations

import os
import sys
import time

import pytest
import redis

from gresque.maintenance import vitals as module
from gresque.maintenance.vitals import VitalsReport
from gresque.processes import vitals as processes_vitals
from gresque.processes.kind import Kind
from gresque.processes.scoreboard import Row, Scoreboard
from gresque.processes.state import ProcessState
from gresque.processes.vitals import Vitals, parse, vitals_of
from gresque.settings import Settings
from gresque.store.ledger import Totals
from gresque.store.store import Store
from gresque.version import __version__
from tests.support.registered import KEYS, WORKER, Clock
from tests.support.states import bring_to

SETTINGS = Settings(queues="high,low", thread_count=2)
BORN_MS = 1_700_000_000_123


@pytest.fixture
def row() -> Row:
    row = Scoreboard(1, 2).rows[0]
    row.pid, row.born_ms, row.kind = os.getpid(), BORN_MS, Kind.WORKER
    bring_to(row, ProcessState.READY)
    return row


def test_what_the_row_tells(row: Row) -> None:
    row.totals = Totals(reserved=10, done=5, failed=1, requeued=1)
    row.note_lag(0.3)
    row.note_lag(1.234)
    row.note_lag(0.2)
    vitals = parse(vitals_of(row, SETTINGS).encode())
    assert (vitals.state, vitals.held, vitals.threads) == ("ready", 3, 2)
    assert (vitals.started, vitals.queues) == (1_700_000_000, "high,low")
    assert (vitals.lag, vitals.version) == (1.23, __version__)
    assert vitals_of(row, SETTINGS).lag == 0


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        (ProcessState.BOOTING, "booting"),
        (ProcessState.PAUSED, "paused"),
        (ProcessState.DRAINING, "draining"),
        (ProcessState.STANDING_BY, "standing_by"),
    ],
)
def test_its_state(row: Row, state: ProcessState, shown: str) -> None:
    row.clear()
    bring_to(row, state)
    assert vitals_of(row, SETTINGS).state == shown


@pytest.mark.skipif(sys.platform != "linux", reason="without /proc")
def test_its_memory_and_cpu(row: Row) -> None:
    ballast = b"x" * 30_000_000
    while time.process_time() < 0.2:
        pass
    vitals = vitals_of(row, SETTINGS)
    assert vitals.rss is not None
    assert len(ballast) < vitals.rss < 2_000_000_000
    assert vitals.cpu is not None
    assert 0.1 <= vitals.cpu <= time.process_time() + 0.2


def test_without_proc(row: Row) -> None:
    row.pid = 2**22 + 5  # above every pid
    vitals = vitals_of(row, SETTINGS)
    assert (vitals.rss, vitals.cpu) == (None, None)
    assert b"rss" not in vitals.encode()


# What a maintenance process writes


class Report:
    """The task, with a clock that is set."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch, rows: list[Row]) -> None:
        self.clock = Clock()
        monkeypatch.setattr(module, "time", self.clock)
        self._store = store
        self.task = VitalsReport(SETTINGS, WORKER, rows)

    def look(self, seconds: float = 1.0) -> dict[str, Vitals]:
        """What stands in Redis after some seconds and a look."""
        self.clock.now += seconds
        self.task.run(self._store)
        return self.stored()

    def stored(self) -> dict[str, Vitals]:
        return {
            process.decode(): parse(raw)
            for process, raw in self._store.redis.hgetall(KEYS.vitals).items()
        }


@pytest.fixture
def rows() -> list[Row]:
    """Of this process and its parent, which live; the third one is free."""
    rows = Scoreboard(3, 2).rows
    for row, pid in zip(rows, (os.getpid(), os.getppid()), strict=False):
        row.pid, row.born_ms, row.kind = pid, 1000, Kind.WORKER
        bring_to(row, ProcessState.READY)
    return rows


@pytest.fixture
def report(store: Store, monkeypatch: pytest.MonkeyPatch, rows: list[Row]) -> Report:
    return Report(store, monkeypatch, rows)


ONE, OTHER_ONE = f"{WORKER}:{os.getpid()}:1000", f"{WORKER}:{os.getppid()}:1000"


def test_every_process_is_reported_when_it_is_new(report: Report, rows: list[Row]) -> None:
    assert report.task.due(report.clock.now) <= 0
    assert report.look().keys() == {ONE, OTHER_ONE}
    assert report.task.due(report.clock.now) == 1


def test_a_new_state_is_written_at_once_and_the_rest_within_10_s(
    report: Report, rows: list[Row]
) -> None:
    report.look()
    bring_to(rows[0], ProcessState.RETIRING)
    rows[1].totals = Totals(reserved=1)
    found = report.look()
    assert (found[ONE].state, found[OTHER_ONE].held) == ("retiring", 0)
    assert report.look(10)[OTHER_ONE].held == 1


def test_nothing_is_written_when_nothing_has_changed(
    report: Report, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes_vitals, "_usage", lambda pid: (1, 2.0))
    report.look()
    redis_client.delete(KEYS.vitals)
    assert report.look(11) == {}
    assert report.look(30).keys() == {ONE, OTHER_ONE}, "a server may have lost them"


def test_the_entries_of_processes_that_are_gone_are_removed(
    report: Report, rows: list[Row], store: Store, redis_client: redis.Redis
) -> None:
    """Also of those that an earlier maintenance process of this master wrote."""
    stranger = "elsewhere:1:q:1:1:1:5:5"
    redis_client.hset(KEYS.vitals, mapping={f"{WORKER}:5:5": b"{}", stranger: b"{}"})
    report.clock.now += 1
    report.task.run(store)
    assert set(redis_client.hkeys(KEYS.vitals)) == {p.encode() for p in (ONE, OTHER_ONE, stranger)}
    redis_client.hdel(KEYS.vitals, stranger)
    bring_to(rows[0], ProcessState.LEFT)
    assert report.look().keys() == {OTHER_ONE}
    rows[1].pid = 2**22 + 5
    report.task.remove_gone(store)
    assert report.stored() == {}


def test_a_process_without_jobs_is_not_reported(report: Report, rows: list[Row]) -> None:
    rows[0].kind = Kind.MAINTENANCE
    rows[1].kind = Kind.QUARANTINE
    assert report.look().keys() == {OTHER_ONE}


def test_where_another_program_has_the_key_nothing_fails(
    report: Report, store: Store, redis_client: redis.Redis
) -> None:
    redis_client.rpush(KEYS.vitals, "x")
    report.clock.now += 1
    report.task.run(store)
    assert redis_client.lrange(KEYS.vitals, 0, -1) == [b"x"]
