"""The Lua scripts, by name. Each file states its KEYS, ARGV and return value at its top."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import NamedTuple


class Script(NamedTuple):
    """A script's text and the SHA-1 by which EVALSHA names it."""

    text: bytes
    sha: bytes


@cache
def script(name: str) -> Script:
    """Load `lua/<name>.lua`."""
    text = resources.files("gresque.store").joinpath("lua", f"{name}.lua").read_bytes()
    return Script(text, hashlib.sha1(text, usedforsecurity=False).hexdigest().encode())
