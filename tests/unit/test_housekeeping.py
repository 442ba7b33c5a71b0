"""What a process does for itself: its memory's limit, its title."""

from __future__ import annotations

import psutil
import pytest

from gresque.processes import title
from gresque.processes.kind import Kind
from gresque.processes.scoreboard import Scoreboard
from gresque.processes.title import Title, describe_counts
from gresque.settings import Settings
from gresque.store.keys import Keys
from gresque.store.ledger import Totals
from gresque.version import __version__
from gresque.worker.native.housekeeping import Housekeeping
from gresque.worker.native.memory import MB, MemoryLimit
from gresque.worker.turns.in_flight import InFlight


def resident_mb() -> int:
    return int(psutil.Process().memory_info().rss / MB)


def test_a_process_is_retired_once(caplog: pytest.LogCaptureFixture) -> None:
    retired: list[bool] = []
    limit = MemoryLimit(resident_mb() + 50, lambda: retired.append(True))
    limit.check()
    assert retired == []
    kept = b"x" * (100 * MB)
    limit.check()
    limit.check()
    assert retired == [True]
    assert len(kept) == 100 * MB
    (record,) = caplog.records
    assert "this process takes no more jobs and is replaced; the limit" in record.getMessage()


def test_a_limit_below_the_start_is_told_of_and_not_heeded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    retired: list[bool] = []
    limit = MemoryLimit(1, lambda: retired.append(True))
    limit.check()
    limit.check()
    assert retired == []
    (record,) = caplog.records
    assert record.getMessage().startswith("MAX_RSS_MB=1 is ignored: this process had ")


def test_a_title_is_printable_and_set_when_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(title, "setproctitle", shown.append)
    settings = Settings.load({"queues": "a\0b,c\x1b[2J", "procline_prefix": "app: "}, {})
    line = Title(settings, "worker")
    for text in ("booting", "booting", "working"):
        line.show(text)
    head = f"app: gresque-{__version__}: worker a?b,c?[2J: "
    assert shown == [f"{head}booting", f"{head}working"]


def test_a_title_tells_a_quarantine_from_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(title, "setproctitle", shown.append)
    (row,) = Scoreboard(1, 1).rows
    for kind in (Kind.WORKER, Kind.QUARANTINE):
        row.kind = kind
        in_flight = InFlight(Totals(), Keys("resque"))
        Housekeeping(Settings.load({"queues": "q"}, {}), row, in_flight, list, noop, noop)
    own = f"gresque-{__version__}"
    assert shown == [f"{own}: worker q: booting", f"{own}: quarantine q: booting"]


def test_without_setproctitle_there_is_no_title(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(title, "setproctitle", None)
    Title(Settings.load({"queues": "q"}, {}), "worker").show("working")


def noop() -> None:
    pass


def test_counts() -> None:
    assert describe_counts(Totals(5_000, 3_000, 20, 30)) == "1,950 running, 3,000 done, 20 failed"
    assert describe_counts(Totals(0, 1, 0, 0)) == "0 running, 1 done, 0 failed"
