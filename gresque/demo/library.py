"""What the demo fetches: the source files that every Python brings along."""

from __future__ import annotations

import hashlib
import sysconfig
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

_NOT_ITS_OWN = {"__pycache__", "dist-packages", "site-packages"}


class Request(NamedTuple):
    """The arguments of one fetch."""

    url: str
    sha256: str


def library() -> dict[str, bytes]:
    """The source files of the standard library: path in a URL -> content."""
    root = Path(sysconfig.get_path("stdlib")).resolve()
    found = {}
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        # A link out of the directory is not ours to show over HTTP.
        own = not _NOT_ITS_OWN & set(relative.parts) and path.resolve().is_relative_to(root)
        if own and path.is_file():
            found[f"/{quote(relative.as_posix())}"] = path.read_bytes()
    return found


def requests(server_url: str, files: dict[str, bytes], series: str) -> Iterator[Request]:
    """Each file in turn, for ever. No URL comes twice, and none that another series has."""
    digests = {path: hashlib.sha256(body).hexdigest() for path, body in files.items()}
    for turn in count():
        for path, digest in digests.items():
            yield Request(f"{server_url}{path}?{series}-{turn}", digest)
