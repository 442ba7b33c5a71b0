"""What the master reports at which status, received at a real socket."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gresque.master.status_reporter import MasterStatus, StatusReporter
from gresque.settings import Settings
from gresque.store.ledger import Totals

TOTALS = Totals(reserved=1_500, done=1_200, failed=40, requeued=10)


class Ear:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        """The first assignment of each message since the last call."""
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(4096).decode().split("\n")[0])
            except BlockingIOError:
                return messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Ear]:
    ear = Ear(tmp_path / "n")
    yield ear
    ear.close()


def reporter(path: Path, *, watchdog_usec: str = "", workers: int = 2) -> StatusReporter:
    environ = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": watchdog_usec}
    settings = Settings.load({"queues": "q", "worker_count": str(workers)}, environ)
    return StatusReporter(settings, lambda: None)


def status(
    boots: int, *, at_work: int = 0, stopping: bool = False, rolling: bool = False,
    paused: bool = False,
) -> MasterStatus:  # fmt: skip
    return MasterStatus(boots, lambda: at_work, stopping, rolling, paused, lambda: TOTALS)


STATUS = "STATUS={}, {} of 2 processes, 250 running, 1,200 done, 40 failed"


def test_each_change_is_reported_once(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 5.0)
    reports = reporter(ear.path)
    steps = [
        (status(0), [STATUS.format("booting", 0)]),
        (status(1, at_work=1), []),  # within the same second
        (status(2, at_work=2), ["READY=1", STATUS.format("working", 2)]),
        (status(2, at_work=2), []),
        (status(2, at_work=1), []),  # one that died does not make it unready
        (status(3, at_work=2, rolling=True), ["RELOADING=1", STATUS.format("reloading", 2)]),
        (status(4, at_work=2), ["READY=1", STATUS.format("working", 2)]),
        (status(4, at_work=2, paused=True), [STATUS.format("paused", 2)]),
        (status(4, stopping=True), ["STOPPING=1", STATUS.format("stopping", 0)]),
        (status(4, stopping=True, rolling=True), []),
    ]
    for number, (moment, expected) in enumerate(steps):
        reports.report(moment)
        assert ear.heard() == expected, number


def test_a_hup_during_the_boot_comes_after_ready(ear: Ear) -> None:
    reports = reporter(ear.path)
    reports.report(status(1, rolling=True))
    reports.report(status(2, rolling=True))
    reports.report(status(3, rolling=True))
    reports.report(status(4))
    told = [line for line in ear.heard() if not line.startswith("STATUS")]
    assert told == ["READY=1", "RELOADING=1", "READY=1"]


def test_what_did_not_arrive_is_told_again(tmp_path: Path) -> None:
    reports = reporter(tmp_path / "n")
    reports.report(status(2, at_work=2))
    ear = Ear(tmp_path / "n")
    reports.report(status(2, at_work=2))
    assert "READY=1" in ear.heard()
    ear.close()


def test_a_busy_systemd_does_not_hold_the_master_up(ear: Ear) -> None:
    reports = reporter(ear.path, watchdog_usec="2")
    started = time.monotonic()
    for _ in range(5_000):  # the socket's queue is full long before
        time.sleep(0.000_002)
        reports.report(status(2, at_work=2))
    assert time.monotonic() - started < 60
    assert "READY=1" in ear.heard()


def test_the_watchdog_is_told_twice_in_its_time(ear: Ear) -> None:
    reports = reporter(ear.path, watchdog_usec="3600000000")
    now = time.monotonic()
    reports.report(status(0))
    assert "WATCHDOG=1" in ear.heard()
    assert now + 1799 < reports.due < now + 1801
    reports.report(status(0))
    assert ear.heard() == []
    assert reporter(ear.path).due == float("inf")


def test_the_first_boot_is_reported_once() -> None:
    boots: list[int] = []
    reports = StatusReporter(Settings.load({"queues": "q"}, {}), lambda: boots.append(os.getpid()))
    for count in (0, 1, 1, 2):
        reports.report(status(count))
    assert boots == [os.getpid()]
