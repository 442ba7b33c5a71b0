"""The recipes of docs/recipes.md, typed word for word."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.support import ROOT
from tests.support.pages import REFRESH, Walk, part

PAGE = ROOT / "docs" / "recipes.md"
RECIPES = re.findall(r"^## (.*)", PAGE.read_text(), re.MULTILINE)


@pytest.fixture
def walk(tmp_path: Path, redis_url: str) -> Iterator[Walk]:
    """In an empty directory, in an environment that knows Redis and this Python only."""
    home = tmp_path / "you"
    home.mkdir()
    env = {
        "HOME": str(home),
        "PATH": f"{sys.prefix}/bin:/usr/bin:/bin",
        "TERM": "xterm",
        "LANG": "C.UTF-8",
        "REDIS_URL": redis_url,
    }
    walk = Walk(home, home, env, {str(home): "/home/you"})
    yield walk
    walk.close()


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe(recipe: str, walk: Walk) -> None:
    text = PAGE.read_text()
    walk.follow(part(text, f"## {recipe}"))
    if REFRESH:
        PAGE.write_text(walk.refreshed(text))
