"""The benchmarks that count what becomes of jobs, in a short form."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.process.support import ROOT


def test_every_sum_holds_after_shutdowns_at_random_moments() -> None:
    ran = subprocess.run(
        [sys.executable, "benchmarks/shutdowns.py", "--rounds", "8", "--seed", "2"],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    rounds = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [each["faults"] for each in rounds] == [[]] * 8
    assert sum(each["done"] for each in rounds) > 0
