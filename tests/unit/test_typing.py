"""Type checkers know the arguments of jobs, in a program that has gresque installed as an editable
one. tests/acceptance does the same with a real `pip install -e`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import type_checkers
from tests.support.type_checkers import Check, marked_lines

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """That of an environment which sees this checkout by the path in a file, as pip writes it with
    editable_mode=compat, and all else that is installed here."""
    venv = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    (packages,) = venv.glob("lib/python*/site-packages")
    here = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "__editable__.gresque.pth").write_text("\n".join([str(ROOT), *here]))
    return str(venv / "bin" / "python")


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_right_calls_pass_and_wrong_ones_are_found(
    checker: str, python: str, tmp_path: Path
) -> None:
    pytest.importorskip(checker)
    check: Check = getattr(type_checkers, checker)
    assert check("right.py", python, tmp_path) == set()
    wrong = marked_lines("wrong.py")
    assert len(wrong) == 33
    assert check("wrong.py", python, tmp_path) == wrong
