"""The Lua scripts, by name. Each file states its KEYS, ARGV and return value at its top.

Parts that several scripts share, and those of a long one, stand in `lua/include/`: the line
`-- include guard` is replaced by the text of `lua/include/guard.lua`. So every script is one text,
which the server knows by one SHA-1.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib import resources
from typing import NamedTuple

_INCLUDE = re.compile(r"^[ ]*-- include (\w+)$", re.MULTILINE)


class Script(NamedTuple):
    """A script's text and the SHA-1 by which EVALSHA names it."""

    text: bytes
    sha: bytes


@cache
def script(name: str) -> Script:
    """Load `lua/<name>.lua` with what it includes."""
    text = join(name).encode()
    return Script(text, hashlib.sha1(text, usedforsecurity=False).hexdigest().encode())


@cache
def script_names() -> dict[bytes, str]:
    """The name of each script, by its SHA-1."""
    files = resources.files("gresque.store").joinpath("lua").iterdir()
    names = (each.name.removesuffix(".lua") for each in files if each.name.endswith(".lua"))
    return {script(name).sha: name for name in names}


def join(name: str) -> str:
    """The text of `lua/<name>.lua`, its includes in their places."""
    text = resources.files("gresque.store").joinpath("lua", f"{name}.lua").read_text("utf-8")
    return _INCLUDE.sub(lambda include: join(f"include/{include[1]}").rstrip("\n"), text)
