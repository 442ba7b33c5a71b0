"""Type checkers against a real editable install, in an environment of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import type_checkers
from tests.support.type_checkers import marked_lines

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    venv = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    python = str(venv / "bin" / "python")
    subprocess.run(
        [
            python, "-m", "pip", "install", "-q", "--config-settings", "editable_mode=compat",
            "-e", str(ROOT), "mypy", "pyright[nodejs]",
        ],
        check=True,
    )  # fmt: skip
    return python


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_an_editable_install(checker: str, python: str, tmp_path: Path) -> None:
    check = getattr(type_checkers, checker)
    assert check("right.py", python, tmp_path, python) == set()
    assert check("wrong.py", python, tmp_path, python) == marked_lines("wrong.py")
