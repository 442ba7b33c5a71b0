"""Which files the demo works on: those that every Python brings along."""

from __future__ import annotations

import sysconfig
from pathlib import Path

ENOUGH = 1000
_NOT_ITS_OWN = {"__pycache__", "dist-packages", "site-packages"}


def library() -> dict[str, Path]:
    """The sources of the standard library: name -> path, in a fixed order.

    Some systems ship it without its tests (Debian: 668 files); there the installed packages are
    added, to have over a thousand real files everywhere.
    """
    files = _sources("stdlib")
    if len(files) < ENOUGH:
        files |= _sources("purelib")
    return files


def _sources(scheme: str) -> dict[str, Path]:
    root = Path(sysconfig.get_path(scheme)).resolve()
    found = {}
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        # A link out of the directory is not ours to show over HTTP.
        if not _NOT_ITS_OWN & set(relative.parts) and path.resolve().is_relative_to(root):
            found[f"{scheme}/{relative.as_posix()}"] = path
    return {name: path for name, path in found.items() if path.is_file()}


def spread(names: list[str], count: int) -> list[str]:
    """`count` of the names (all when there are fewer), at even distances."""
    count = min(count, len(names))
    return [names[(2 * i + 1) * len(names) // (2 * count)] for i in range(count)]
