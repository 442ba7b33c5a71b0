"""Unique jobs with real masters: no trigger is lost, no lock stays, however processes die."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from gresque.cli.main import run
from tests.process import unique_jobs as jobs
from tests.process.support import HELD, Bench, Master, wait_for

OURS = "tests.process.unique_jobs"
POINTS = [
    "before start",
    "after start",
    "as it begins",
    "as it ends",
    "before settle",
    "after settle",
]


@pytest.fixture
def died(tmp_path: Path) -> Path:
    directory = tmp_path / "died"
    directory.mkdir()
    return directory


def work(bench: Bench, *arguments: str, **env: str) -> Master:
    return bench.start(
        "-q", "q", "-r", OURS, "-j", "1000", *arguments, MAX_RECOVERIES="0", **env
    )  # fmt: skip


def locks(bench: Bench) -> list[bytes]:
    return [*bench.redis.scan_iter("resque:unique:*")]


IDLE = f"""
local waiting = redis.call('EXISTS', 'resque:queue:q', 'resque:suspects:1:q', 'resque:suspects:2:q')
if waiting + redis.call('ZCARD', 'resque:later') > 0 then return 0 end
{HELD.replace("return held", "return held == 0 and 1 or 0")}
"""


def is_idle(bench: Bench) -> bool:
    """Whether no job waits or runs, at one moment: a job may go from a ledger to `later`."""
    return bool(bench.redis.eval(IDLE, 1, "resque"))


def seen(bench: Bench, name: str) -> list[int]:
    return [int(each) for each in bench.redis.lrange(f"seen:{name}", 0, -1)]


def ends_without_locks(bench: Bench, *masters: Master) -> None:
    wait_for(lambda: is_idle(bench))
    for master in masters:
        master.signal(signal.SIGTERM)
        assert master.wait() == 0
    assert not locks(bench)


@pytest.mark.parametrize("job", [jobs.queued, jobs.again], ids=["queued", "again"])
def test_the_last_trigger_is_seen_however_processes_die(bench: Bench, died: Path, job: Any) -> None:
    """A value is written before each enqueue, and read by a run that begins after that."""
    points = POINTS if job is jobs.queued else POINTS[2:]
    master = work(bench, "-w", "2", "-t", "1", KILL_AT=",".join(points), KILLED_AT=str(died))
    for value in range(1, 300):
        name = "abc"[value % 3]
        bench.redis.set(f"value:{name}", value)
        bench.client.enqueue(job, name)
        if value % 20 == 0:
            wait_for(lambda: bench.redis.llen("resque:queue:q") < 3)
        if value % 100 == 0:
            master.kill_children()
    ends_without_locks(bench, master)
    for name in "abc":
        assert max(seen(bench, name)) == int(bench.redis.get(f"value:{name}"))
    assert {each.name for each in died.iterdir()} == set(points)
    if job is jobs.again:
        assert not bench.redis.exists("overlaps")
    assert not bench.failed()


@pytest.mark.parametrize("point", POINTS)
def test_one_at_a_time_however_processes_die(bench: Bench, died: Path, point: str) -> None:
    for number in range(12):
        bench.client.enqueue(jobs.serial, "ab"[number % 2], number)
    master = work(bench, "-w", "3", "-t", "1", KILL_AT=point, KILLED_AT=str(died))
    ends_without_locks(bench, master)
    assert [each.name for each in died.iterdir()] == [point]
    runs = sorted(int(n) for name in "ab" for n in bench.redis.lrange(f"order:{name}", 0, -1))
    assert sorted(set(runs)) == [*range(12)]
    assert len(runs) <= 13  # the one that died ran again
    assert not bench.redis.exists("overlaps")
    assert not bench.failed()


def test_a_shutdown_puts_the_job_back_with_its_lock(bench: Bench) -> None:
    master = work(bench, "-t", "4")
    job_id = bench.client.enqueue(jobs.hangs, "x")
    alone = bench.client.enqueue(jobs.hangs_alone, "y")
    wait_for(lambda: bench.redis.llen("started") == 2)
    assert len(locks(bench)) == 2
    waits = bench.client.enqueue(jobs.hangs_alone, "z")
    wait_for(lambda: bench.redis.zscore("resque:later", waits))
    (shown,) = bench.client.delayed(0, 9)
    assert shown.id == waits
    master.signal(signal.SIGTERM)
    assert master.wait() == 0
    again = bench.client.enqueue(jobs.hangs, "x")
    assert again == job_id and again.duplicate
    # The lock of a job that runs alone has gone to the next one, which is before it in the queue.
    found = [each["id"] for each in bench.client.peek("q", 0, 9)]
    assert sorted(found) == sorted([job_id, alone, waits])
    assert found.index(waits) < found.index(alone)
    assert bench.client.remove_queue("q") == 3
    assert not locks(bench)


def test_a_job_that_fails_is_not_in_conflict_with_itself(bench: Bench) -> None:
    master = work(bench, "-t", "1")
    first = bench.client.enqueue(jobs.both, "x", True)
    wait_for(lambda: len(seen(bench, "x")) >= 1)
    second = bench.client.enqueue(jobs.both, "x", True)
    assert second == first or bench.stat("failed")
    wait_for(lambda: len(seen(bench, "x")) == (3 if second == first else 6))
    bench.client.enqueue(jobs.queued, "y", True)
    ends_without_locks(bench, master)
    assert seen(bench, "y") == [0]
    assert [entry.exception for entry in bench.failed()].count("ValueError") >= 2
    assert bench.stat("retried") in (2, 4)


def test_the_latest_arguments_run(bench: Bench) -> None:
    for value in range(1, 6):
        bench.client.enqueue(jobs.replaced, "x", value)
    assert bench.client.size("q") == 1
    ends_without_locks(bench, work(bench, "-t", "1"))
    assert bench.redis.get("value:x") == b"5"
    assert len(seen(bench, "x")) == 1


def test_a_killed_job_leaves_its_lock(bench: Bench) -> None:
    master = work(bench, "-t", "4")
    ids = [bench.client.enqueue(jobs.hangs, "x"), bench.client.enqueue(jobs.hangs_alone, "y")]
    wait_for(lambda: bench.redis.llen("started") == 2)
    waits = bench.client.enqueue(jobs.hangs_alone, "z")
    wait_for(lambda: bench.redis.zscore("resque:later", waits))
    for job_id in ids:
        assert run(["kill", job_id, "--redis", bench.redis_url]) == 0
    wait_for(lambda: bench.redis.llen("started") == 3)
    assert run(["kill", waits, "--redis", bench.redis_url]) == 0
    ends_without_locks(bench, master)
    assert len(bench.failed()) == 3
