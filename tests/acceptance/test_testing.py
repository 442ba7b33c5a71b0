"""The plugin of pytest in a large project."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.process.test_testing_plugin import SAME_NAMES, run

MOST_MS = 5.0


def test_500_tests_in_four_processes_do_not_see_each_other(tmp_path: Path) -> None:
    ran = run(tmp_path, SAME_NAMES.format(tests=500), "-n", "4")
    assert "500 passed" in ran.stdout, ran.stdout + ran.stderr


def test_to_import_the_plugin_takes_no_time() -> None:
    program = (
        "import pytest, time; start = time.process_time(); import gresque.testing.plugin\n"
        "print(1000 * (time.process_time() - start))"
    )
    taken = [
        float(subprocess.check_output([sys.executable, "-c", program], text=True))
        for _ in range(10)
    ]
    assert sorted(taken)[4] < MOST_MS, taken
