"""A newcomer with a fresh checkout: the system's Python, an empty home, no rights beyond it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.process.support import ROOT, wait_for
from tests.support.pages import Walk, part
from tests.support.terminal import Terminal

NOBODY = 65534


@pytest.fixture
def home() -> Iterator[Path]:
    # Not tmp_path: its parents are closed to others.
    with tempfile.TemporaryDirectory(prefix="gresque-you-") as home:
        yield Path(home)


def newcomer(home: Path) -> tuple[list[str], dict[str, str]]:
    """The shell of one who may write nowhere but at home, and the environment."""
    pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    env = {"HOME": str(home), "PATH": "/usr/bin:/bin", "TERM": "xterm", "LANG": "C.UTF-8", **pip}
    if os.getuid() or not shutil.which("setpriv"):
        return [], env
    os.chown(home, NOBODY, NOBODY)
    number = str(NOBODY)
    return ["setpriv", "--reuid", number, "--regid", number, "--clear-groups"], env


def test_from_a_fresh_checkout_to_the_end_of_the_tour(home: Path) -> None:
    """`scripts/demo` sets up and ends well; then the tour, word for word; nothing is left."""
    prefix, env = newcomer(home)
    checkout = home / "gresque"
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True)
    subprocess.run([*prefix, "mkdir", checkout], check=True)
    subprocess.run([*prefix, "tar", "-x", "-C", checkout], input=archive.stdout, check=True)
    terminal = Terminal(checkout, env, prefix)
    demo = terminal.run("scripts/demo", 600)
    terminal.close()
    assert demo.code == 0, demo.output
    assert "; 0 lost" in demo.output

    text = (checkout / "README.md").read_text()
    walk = Walk(checkout, home / "gresque-tour", env, {str(home): "/home/you"}, prefix)
    try:
        walk.follow(part(text, "## The tour"))
    finally:
        walk.close()
    assert not (home / "gresque-tour").exists()
    wait_for(lambda: not processes_of(home))


def processes_of(home: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("HOME") == str(home):
                found.append(process)
        except psutil.Error:
            continue
    return found
