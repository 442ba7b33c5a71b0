"""The text of a script: its includes, and how it names its keys."""

from __future__ import annotations

import hashlib
import re
from importlib import resources
from pathlib import Path

import pytest

from gresque.connection.scripts import join, script

LUA = Path(str(resources.files("gresque.store"))) / "lua"
SCRIPTS = sorted(path.stem for path in LUA.glob("*.lua"))
INCLUDES = sorted(path.stem for path in (LUA / "include").glob("*.lua"))


def test_an_include_stands_in_the_place_of_its_line() -> None:
    text, guard = join("fence"), (LUA / "include" / "guard.lua").read_text("utf-8")
    assert "local guarded = ledger\n" + guard in text
    assert "-- include" not in text
    found = script("fence")
    assert found.text.endswith(text.encode())  # after the check of keys
    assert found.sha == hashlib.sha1(found.text).hexdigest().encode()


def test_every_include_is_used() -> None:
    texts = [path.read_text("utf-8") for path in LUA.rglob("*.lua")]
    used = {name for text in texts for name in re.findall(r"^ *-- include (\w+)$", text, re.M)}
    assert used == set(INCLUDES)


@pytest.mark.parametrize("name", SCRIPTS)
def test_keys_have_names(name: str) -> None:
    """By a bare number nobody sees which key it is."""
    for line in join(name).splitlines():
        code = line.partition("--")[0]
        if not code.startswith("local "):
            assert not re.search(r"\b(KEYS|K)\[\d+\]", code), line


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_states_its_keys_and_its_reply(name: str) -> None:
    head = join(name).partition("\nlocal ")[0]
    assert "-- KEYS  1 " in head
    assert "-- Returns  " in head


def test_the_includes_are_installed() -> None:
    setup = (Path(__file__).parents[2] / "setup.py").read_text("utf-8")
    assert '"store/lua/*.lua", "store/lua/include/*.lua"' in setup


@pytest.mark.parametrize("path", sorted(LUA.rglob("*.lua")), ids=lambda path: path.stem)
def test_no_part_is_long(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 60


def test_the_script_of_a_turn_is_short() -> None:
    assert len(join("cycle").splitlines()) < 600
