"""The maintenance process by itself, forked as the master does it."""

from __future__ import annotations

import importlib
import os
import pkgutil
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from gresque import maintenance
from gresque.maintenance import process as module
from gresque.maintenance.judge import SharedMemory
from gresque.maintenance.process import MaintenanceProcess
from gresque.processes import stack_dump
from gresque.processes import vitals as processes_vitals
from gresque.processes.declared_memory import DeclaredMemory
from gresque.processes.kind import Kind
from gresque.processes.scoreboard import Ending, Scoreboard
from gresque.processes.state import ProcessState
from gresque.processes.sums import SharedSums
from gresque.processes.title import Title
from gresque.settings import Settings
from gresque.store.store import Store
from tests.process.support import wait_for
from tests.support.registered import KEYS, WORKER, Clock
from tests.support.states import bring_to


class Master:
    """What a maintenance process gets of its master: one worker process, which is this one."""

    def __init__(self, redis_url: str) -> None:
        self.life, self.alive = os.pipe()
        row, own_row = Scoreboard(2, 1).rows
        row.pid, row.born_ms, row.kind = os.getpid(), 5, Kind.WORKER
        bring_to(row, ProcessState.READY)
        self.spec: Any = SimpleNamespace(
            settings=Settings.load({"redis_url": redis_url, "queues": "q"}, {}),
            worker_id=WORKER,
            started="then",
            row=own_row,
            rows=[row],
            life_fd=self.life,
            declared=DeclaredMemory(),
            sums=SharedSums(),
        )
        self.memory = SharedMemory()
        self.title = Title(self.spec.settings, "maintenance")
        self.pids: list[int] = []

    def fork(self) -> int:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.close(self.alive)
                module.run(self.spec, self.memory, self.title)
                code = 0
            finally:
                os._exit(code)
        self.pids.append(pid)
        return pid

    def ended(self, pid: int) -> int | None:
        """Its exit code; None while it runs."""
        found, status = os.waitpid(pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if found else None

    def close(self) -> None:
        for pid in self.pids:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        for descriptor in (self.life, self.alive):
            with suppress(OSError):
                os.close(descriptor)


@pytest.fixture
def master(redis_url: str) -> Iterator[Master]:
    master = Master(redis_url)
    yield master
    master.close()


def test_it_leaves_nothing_behind(master: Master, redis_client: redis.Redis) -> None:
    pid = master.fork()
    wait_for(lambda: redis_client.get(KEYS.maintenance) == f"{WORKER} then".encode())
    wait_for(lambda: redis_client.hlen(KEYS.vitals) == 1)
    bring_to(master.spec.rows[0], ProcessState.LEFT)
    master.spec.row.end(Ending.QUIT)
    os.kill(pid, signal.SIGQUIT)
    wait_for(lambda: master.ended(pid) == 0)
    assert not redis_client.exists(KEYS.maintenance, KEYS.vitals)


def test_it_beats_and_dumps_where_it_stands(master: Master) -> None:
    row = master.spec.row
    pid = master.fork()
    wait_for(lambda: row.pulse > 3)
    os.kill(pid, stack_dump.SIGNAL)
    # It is written frame by frame, the outermost ones last.
    wait_for(lambda: "in `run'" in "".join(stack_dump.read(row.dump).stack))


def test_signals_of_others_do_not_end_it(master: Master, redis_client: redis.Redis) -> None:
    """A Ctrl-C in a terminal goes to every process of the group, a TERM of systemd to all of the
    service. The master ends it when the worker processes have ended."""
    pid = master.fork()
    wait_for(lambda: redis_client.exists(KEYS.maintenance))
    for name in ("INT", "TERM", "QUIT", "HUP", "USR1", "USR2", "TTIN"):
        os.kill(pid, getattr(signal, f"SIG{name}"))
    redis_client.delete(KEYS.maintenance)
    wait_for(lambda: redis_client.exists(KEYS.maintenance))
    assert master.ended(pid) is None


def test_it_leaves_when_the_master_is_gone(master: Master, redis_client: redis.Redis) -> None:
    pid = master.fork()
    wait_for(lambda: redis_client.exists(KEYS.maintenance))
    os.close(master.alive)
    wait_for(lambda: master.ended(pid) == 0)
    assert not redis_client.exists(KEYS.maintenance)


class Sometimes:
    """A task that fails in its own way, and one that counts."""

    name = "sometimes"

    def __init__(self, *errors: Exception | None) -> None:
        self.errors = list(errors)
        self.ran = 0
        self.seconds = 0.0

    def due(self, now: float) -> float:
        return self.seconds

    def run(self, store: Store) -> None:
        self.ran += 1
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error


@pytest.fixture
def process(master: Master) -> Iterator[Any]:
    process: Any = MaintenanceProcess(master.spec, master.memory, master.title)
    yield process
    process._promote.close()
    process._store.close()


def test_a_task_that_fails_is_logged_and_ends_no_other(
    process: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "FAILED_SECONDS", 0.0)
    broken, other = Sometimes(*[ValueError("odd")] * 3), Sometimes()
    broken.name = "broken"
    process._tasks = (broken, other)
    for _ in range(3):
        process._run_due()
    assert (broken.ran, other.ran) == (3, 3)
    (record,) = caplog.records
    assert (
        record.message == "the maintenance task broken failed: ValueError: odd; it is tried again"
    )
    assert record.exc_info is not None


def test_a_task_that_failed_is_not_tried_at_once(process: Any) -> None:
    broken, other = Sometimes(redis.ResponseError("OOM")), Sometimes()
    broken.name = "broken"
    process._tasks = (broken, other)
    for _ in range(3):
        process._run_due()
    assert (broken.ran, other.ran) == (1, 3)


def test_an_outage_is_logged_once_and_waited_out(
    process: Any, caplog: pytest.LogCaptureFixture
) -> None:
    away, other = Sometimes(*[redis.ConnectionError("away")] * 3), Sometimes()
    process._tasks = (away, other)
    waits = [process._run_due() for _ in range(3)]
    assert other.ran == 0, "it would wait as well"
    assert 0 < waits[0] <= waits[2] * 2
    process._run_due()
    assert other.ran == 1
    first, back = (record.message for record in caplog.records)
    assert "maintenance waits for it" in first
    assert back.startswith("Redis is back after")


def test_an_outage_is_not_over_because_a_task_asks_redis_for_nothing(
    process: Any, caplog: pytest.LogCaptureFixture
) -> None:
    away, idle = Sometimes(*[redis.ConnectionError("away")] * 3), Sometimes()
    away.seconds = 0.0
    process._tasks = (away, idle)
    for _ in range(3):
        process._run_due()
        away.seconds = 5.0  # it failed; it is not due, and tried all the same
    assert len(caplog.records) == 1


def test_when_nothing_happens_it_sends_a_command_a_second(
    process: Any, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    for found in pkgutil.iter_modules(maintenance.__path__, "gresque.maintenance."):
        each = importlib.import_module(found.name)
        if hasattr(each, "time"):  # one that went by the real clock would be due for ever, or never
            monkeypatch.setattr(each, "time", clock)
    monkeypatch.setattr(processes_vitals, "_usage", lambda pid: (1, 2.0))
    process._run_due()  # opens a connection, and loads the scripts
    before = commands(redis_client)
    end = clock.now + 100
    while clock.now < end:
        clock.now += process._run_due()
    after = commands(redis_client)
    sent = {name: after[name] - before.get(name, 0) for name in after}
    # Those within the two scripts do not travel.
    sent["hdel"] = sent["zrange"] = sent["hkeys"] = sent["hgetall"] = sent["info"] = 0
    assert sent["getex"] >= 40
    assert sum(sent.values()) <= 110, sent


def commands(client: redis.Redis) -> dict[str, int]:
    counted: Any = client.info("commandstats")
    return {name.removeprefix("cmdstat_"): stats["calls"] for name, stats in counted.items()}


@pytest.mark.skipif(sys.platform != "linux", reason="without /proc")
def test_it_waits_for_what_is_due_first(process: Any) -> None:
    """For the vitals, once a second."""
    assert 0 < process._run_due() <= 1
