"""Processes that are killed between two steps of their boot or their end: every job is counted
once, and nothing stays in Redis."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.process.support import Bench, Master, wait_for

POINTS = [
    "after fence", "after move", "after empty", "after inherit", "after remove", "before register",
    "after register",
]  # fmt: skip
ALL = ",".join(POINTS)
LASTING = {"resque:queues", "resque:stat:processed", "resque:recoveries", "resque:suspects"}
JOBS = ("resque:queue:", "resque:suspects:")


def work(bench: Bench, directory: Path, points: list[str], *arguments: str) -> Master:
    return bench.start(
        "-q", "q", "-w", "1", "-t", "1", "-r", "tests.process.killed_between", *arguments,
        KILL_AT=",".join(points), KILLED_AT=str(directory),
    )  # fmt: skip


def ends_clean(bench: Bench, master: Master, directory: Path, points: list[str]) -> None:
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    assert {each.name for each in directory.iterdir()} == set(points)
    left = bench.keys()
    assert {key for key in left if not key.startswith(JOBS)} <= LASTING


@pytest.fixture
def died(tmp_path: Path) -> Path:
    directory = tmp_path / "died"
    directory.mkdir()
    return directory


@pytest.mark.parametrize("point", [*POINTS, ALL])
def test_who_recovers_a_process_that_held_a_job(bench: Bench, died: Path, point: str) -> None:
    points = point.split(",")
    for number in range(3):
        bench.client.enqueue_to("q", "Count", number)
    bench.client.enqueue_to("q", "Behave", "sleep", 60)
    master = work(bench, died, points, "-j", "1000")
    wait_for(lambda: bench.redis.llen("started") == 1)
    master.kill_children()
    wait_for(lambda: bench.redis.llen("started") == 2)
    ends_clean(bench, master, died, points)
    assert "reserved 5 = 3 done + 0 failed + 2 requeued" in master.log


@pytest.mark.parametrize(
    ("end", "point"),
    [
        ("before unregister", ALL),
        ("after unregister", ALL),
        ("after unregister", "after empty"),
        ("after unregister", "after inherit"),
    ],
)
def test_who_recovers_a_process_that_left(bench: Bench, died: Path, end: str, point: str) -> None:
    points = [end, *point.split(",")]
    for number in range(20):
        bench.client.enqueue_to("q", "Count", number)
    master = work(bench, died, points, "-j", "15")
    wait_for(lambda: bench.stat("processed") == 20)
    ends_clean(bench, master, died, points)
    assert "reserved 20 = 20 done + 0 failed + 0 requeued" in master.log
