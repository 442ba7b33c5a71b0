"""Backtraces as pages show them: the user's own frames with their source, the others folded."""

from __future__ import annotations

import linecache
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from gresque.raised import CARRYING, LIBRARY, is_frame

_LINE = re.compile(r"(?P<path>.+?):(?P<line>\d+)(?::in [`'](?P<name>.*)')?$", re.DOTALL)
_PACKAGE = re.compile(r"/(?:site|dist)-packages/([^/.]+)|/gems/([^/]+)/")
MOST_SOURCE_BYTES = 2_000_000
SHOWN_PARTS = 3
"""Of a path: its last parts say enough."""


@dataclass(frozen=True)
class Frame:
    """A line of a backtrace. `path` is empty for one that is no frame, such as what caused the
    exception; `text` is the line then."""

    text: str
    path: str = ""
    line: int = 0
    name: str = ""
    is_own: bool = False
    source: str = ""

    @property
    def place(self) -> str:
        """`shop/sync.py:88`."""
        parts = self.path.replace("\\", "/").split("/")
        return f"{'/'.join(parts[-SHOWN_PARTS:])}:{self.line}"

    @property
    def package(self) -> str:
        """Whose code it is, of an installed one."""
        found = _PACKAGE.search(self.path)
        return (found[1] or found[2]) if found else "the language's own library"


@dataclass(frozen=True)
class Fold:
    """Frames of others, one after the other."""

    frames: tuple[Frame, ...]

    @property
    def packages(self) -> str:
        names = list(dict.fromkeys(frame.package for frame in self.frames))
        return ", ".join(names[:3]) + (" and others" if len(names) > 3 else "")


Shown = Frame | Fold


def frames_of(lines: Iterable[str]) -> list[Shown]:
    """The innermost first, as they stand in a failure entry or a stack."""
    shown: list[Shown] = []
    for is_other, group in groupby(map(_frame, lines), key=lambda each: _is_folded(each)):
        found = tuple(group)
        shown += [Fold(found)] if is_other else found
    return shown


def own_first(lines: list[str]) -> list[Shown]:
    """The same, with all that stands before the first own frame folded behind it: the first line
    is where the user's code broke."""
    shown = frames_of(lines)
    own = next((n for n, each in enumerate(shown) if isinstance(each, Frame) and each.is_own), 0)
    return shown[own : own + 1] + shown[:own] + shown[own + 1 :]


def _is_folded(frame: Frame) -> bool:
    return bool(frame.path) and not frame.is_own


def _frame(text: str) -> Frame:
    found = _LINE.match(text) if is_frame(text) else None
    if found is None:
        return Frame(text)
    path, line = found["path"], int(found["line"][:9])
    is_own = LIBRARY.search(text) is None and CARRYING.search(text) is None
    source = _source(path, line) if is_own else ""
    return Frame(text, path, line, found["name"] or "", is_own, source)


def short_place(text: str | None) -> str:
    """`shop/sync.py:88` of a frame as it stands in an entry."""
    if not text:
        return ""
    frame = _frame(text)
    return frame.place if frame.path else text


def _source(path: str, line: int) -> str:
    """The line where this machine has the file. Entries may come from anybody who can write to
    Redis: no file is read but Python's, where this program imports from."""
    try:
        real = Path(path).resolve()
        if real.suffix != ".py" or real.stat().st_size > MOST_SOURCE_BYTES:
            return ""
    except (OSError, ValueError, RuntimeError):  # such as a name with a NUL
        return ""
    if not any(real.is_relative_to(root) for root in _roots()):
        return ""
    return linecache.getline(str(real), line).strip()


def _roots() -> Iterator[Path]:
    """Where this program imports from, but for the root of the file system."""
    here = Path.cwd()
    for each in (here, *map(Path, sys.path)):
        root = (here / each).resolve()
        if root != root.parent:
            yield root
