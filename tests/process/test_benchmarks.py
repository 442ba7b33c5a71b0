"""The benchmarks that count what becomes of jobs, in a short form."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.process.support import ROOT


def test_every_sum_holds_after_shutdowns_at_random_moments() -> None:
    ran = subprocess.run(
        [sys.executable, "benchmarks/shutdowns.py", "--rounds", "4", "--seed", "2"],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    rounds = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [each["faults"] for each in rounds] == [[]] * 4
    assert sum(each["done"] for each in rounds) > 0


def test_no_job_is_lost_to_random_kills_of_processes_masters_and_the_server() -> None:
    ran = subprocess.run(
        [
            sys.executable, "benchmarks/chaos.py", "--for", "4", "--kill-every", "0.5",
            "--kill-server-every", "1.5", "--server-down", "0.5", "--seed", "5",
        ],
        cwd=ROOT, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    result = json.loads(ran.stdout)
    assert (result["lost"], result["left_in_ledgers"], result["failed"]) == (0, 0, 0)
    assert result["jobs"] > 0 and result["killed"]["servers"] > 0
    assert result["killed"]["processes"] > 0


def test_enqueueing_is_about_as_fast_as_bare_redis_py() -> None:
    """The floor is far under what it is, for a busy machine: it is for a fault, such as two trips
    where there was one."""
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.enqueueing", "--runs", "3", "--scale", "0.1"],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    shares = [line["value"] for line in lines if line["unit"] == "%"]
    assert len(shares) == 3
    assert max(shares) > 60


def test_processes_with_many_long_jobs_send_next_to_nothing() -> None:
    """A kilobyte a second each at most; all that runs is 25."""
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.fleet", "--processes", "20"),
            *("--only", "long", "--seconds", "2"),
        ],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = {line["scenario"]: line["value"] for line in map(json.loads, ran.stdout.splitlines())}
    assert 0 < found["20, 1,000 long jobs each: in"] < 20 / 1000
    assert found["20, 1,000 long jobs each: requests"] < 20 * 0.6
