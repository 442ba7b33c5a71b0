"""Running type checkers on a program that has gresque installed, and reading what they found."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

PROGRAMS = Path(__file__).parents[1] / "typing"

Check = Callable[[str, str, Path], set[int]]
"""The lines of a program of PROGRAMS in which the checker of `tools` finds an error, when it sees
the packages of `python`; the directory is for its cache and for the program, which must not stand
in this checkout."""


def marked_lines(program: str) -> set[int]:
    lines = (PROGRAMS / program).read_text().splitlines()
    return {number for number, line in enumerate(lines, start=1) if line.endswith("# wrong")}


def mypy(program: str, python: str, directory: Path, tools: str = sys.executable) -> set[int]:
    ran = _run(
        tools, "-m", "mypy", "--strict", "--python-executable", python,
        "--cache-dir", str(directory / "cache"), str(_copy(program, directory)), cwd=directory,
    )  # fmt: skip
    assert ran.returncode in (0, 1), ran.stdout + ran.stderr
    found = re.findall(r"^(.+?):(\d+): error:", ran.stdout, re.MULTILINE)
    assert {Path(path).name for path, _ in found} <= {program}, ran.stdout
    return {int(line) for _, line in found}


def pyright(program: str, python: str, directory: Path, tools: str = sys.executable) -> set[int]:
    ran = _run(
        tools, "-m", "pyright", "--outputjson", "--pythonpath", python,
        str(_copy(program, directory)), cwd=directory,
    )  # fmt: skip
    assert ran.returncode in (0, 1), ran.stdout + ran.stderr
    found = json.loads(ran.stdout)["generalDiagnostics"]
    return {each["range"]["start"]["line"] + 1 for each in found if each["severity"] == "error"}


def _copy(program: str, directory: Path) -> Path:
    return Path(shutil.copy(PROGRAMS / program, directory))


def _run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
