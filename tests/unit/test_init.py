"""The names of the package, which are loaded when the first of them is asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import gresque
import gresque.api

ROOT = Path(__file__).parents[2]


def run(*lines: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(lines)],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize(
    "first", ["gresque.job", "from gresque import job", "from gresque import *", "dir(gresque)"]
)
def test_the_first_name_loads_all(first: str) -> None:
    ran = run(
        "import gresque, sys",
        "assert gresque.__version__ and 'gresque.client.client' not in sys.modules",
        first,
        "assert 'gresque.client.client' in sys.modules",
        "assert {*gresque.__all__} <= {*dir(gresque)}",
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_all_names() -> None:
    for name in gresque.api.__all__:
        assert getattr(gresque, name) is getattr(gresque.api, name)


@pytest.mark.parametrize("name", ["jop", "__wrapped__"])
def test_a_name_that_does_not_exist(name: str) -> None:
    with pytest.raises(AttributeError, match=f"module 'gresque' has no attribute '{name}'"):
        getattr(gresque, name)


@pytest.mark.parametrize(
    ("command", "loads"), [(["queues", "--help"], False), (["work", "--help"], True)]
)
def test_a_command_loads_them_only_where_jobs_run(command: list[str], loads: bool) -> None:
    """`work` does so before it patches and forks."""
    ran = run(
        "import atexit, sys",
        f"sys.argv = ['gresque', *{command}]",
        "atexit.register(lambda: print('gresque.api' in sys.modules))",
        "from gresque.cli.main import main",
        "main()",
    )
    assert ran.stdout.splitlines()[-1] == str(loads)
