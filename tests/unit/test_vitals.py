"""The vitals of a process: read off its row of the scoreboard, and off /proc."""

from __future__ import annotations

import os
import sys
import time

import pytest

from gresque.processes.kind import Kind
from gresque.processes.scoreboard import Row, Scoreboard
from gresque.processes.state import ProcessState
from gresque.processes.vitals import parse, vitals_of
from gresque.settings import Settings
from gresque.store.ledger import Totals
from gresque.version import __version__
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
