"""The README's tour, word for word, in a bare environment."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.support import ROOT
from tests.support.pages import REFRESH, Walk, part

README = ROOT / "README.md"


@pytest.fixture
def walk(tmp_path: Path) -> Iterator[Walk]:
    """In a checkout whose `.venv` is there, as the demo leaves it."""
    checkout, home = tmp_path / "gresque", tmp_path / "you"
    checkout.mkdir()
    home.mkdir()
    (checkout / ".venv").symlink_to(sys.prefix)
    env = {"HOME": str(home), "PATH": "/usr/bin:/bin", "TERM": "xterm", "LANG": "C.UTF-8"}
    walk = Walk(
        checkout, home / "gresque-tour", env, {str(home): "/home/you", str(checkout): "gresque"}
    )
    yield walk
    walk.close()


def test_the_tour(walk: Walk, tmp_path: Path) -> None:
    text = README.read_text()
    walk.follow(part(text, "## The tour"))
    if REFRESH:
        README.write_text(walk.refreshed(text))
    assert not list((tmp_path / "you").iterdir()), "it ends by removing what it has left"
