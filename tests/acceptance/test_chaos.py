"""A minute each of kills at random, with what jobs, clocks and servers do in production."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAKETIME = any(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))

CASES = {
    "jobs that fork": ("jobs_that_fork", "--forks", "0.1"),
    "clock steps": ("clock_steps", "--step-clock-every", "3"),
    "a lagging replica": (
        "fail_overs", "--fail-over-every", "8", "--kill-server-every", "0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_no_job_is_lost_among_kills(name: str) -> None:
    """It exits with 1 when a job was lost, or when more ran twice than were in flight."""
    happened, *options = CASES[name]
    if name == "clock steps" and not FAKETIME:
        pytest.skip("needs Debian's package faketime")
    ran = subprocess.run(
        [sys.executable, "benchmarks/chaos.py", *options, "--for", "60"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    assert result["lost"] == 0
    assert result[happened] > 0
