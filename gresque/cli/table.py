"""Tables: rows of values as aligned lines, and how they fit a terminal. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from gresque.text import printable

GAP = "  "
ELLIPSIS = "…"

_COMFORT = 40
"""With this much of each long column a table is shown as it is."""
_ENOUGH = 16
"""Columns are left out where there is not even this much of each long one."""


class Column(NamedTuple):
    """A title, and the value of a row under it; numbers are aligned to the right.

    The rest matters on a terminal that is too narrow for the table: `short` is a shorter value, a
    column that is `whole` is never cut, as what is to be typed must stand there in full, one that
    `keeps_end` is cut in the middle, and columns with a `rank` are left out, the highest one first.
    """

    title: str
    cell: Callable[[Any], Any]
    short: Callable[[Any], Any] | None = None
    whole: bool = False
    rank: int = 0
    keeps_end: bool = False


class Table:
    """Lines for one portion of rows after the other; `room` is the width of the terminal, None for
    a pipe, in which nothing is left out or cut.

    Where the table does not fit, this is done until it does: short values; no empty columns; no
    columns with a rank; the longest column is cut, then the next one. A row is one line in the
    end. The first portion decides which columns there are.
    """

    def __init__(
        self, columns: Sequence[Column], room: int | None = None, ellipsis: str = ELLIPSIS
    ) -> None:
        self._columns = columns
        self._room = room
        self._ellipsis = ellipsis
        self._chosen: list[Column] = []

    def lines(self, rows: Sequence[Any]) -> Iterator[str]:
        """The titles, the first time and where there are any, and a line for each row."""
        first = not self._chosen
        if first:
            self._chosen = self._choose(rows)
        laid = [_Laid(column, rows) for column in self._chosen]
        if self._room is not None:
            _cut_longest(laid, self._room)
        if first and any(column.title for column in self._columns):
            yield self._line(each.pad(each.column.title, self._ellipsis) for each in laid)
        for index in range(len(rows)):
            yield self._line(each.pad(each.texts[index], self._ellipsis) for each in laid)

    def _line(self, cells: Iterator[str]) -> str:
        line = GAP.join(cells).rstrip()
        return line if self._room is None else cut(line, self._room, self._ellipsis)

    def _choose(self, rows: Sequence[Any]) -> list[Column]:
        columns = list(self._columns)
        if self._room is None or _fits([_Laid(c, rows) for c in columns], self._room, _COMFORT):
            return columns
        laid = [_Laid(c if c.short is None else c._replace(cell=c.short), rows) for c in columns]
        if not _fits(laid, self._room, _COMFORT):
            laid = [each for each in laid if not each.is_empty] or laid
        while not _fits(laid, self._room, _ENOUGH):
            last = max(laid, key=lambda each: each.column.rank)
            if not last.column.rank:
                break
            laid.remove(last)
        return [each.column for each in laid]


class _Laid:
    """A column with the texts of its cells."""

    def __init__(self, column: Column, rows: Sequence[Any]) -> None:
        values = [column.cell(row) for row in rows]
        self.column = column
        self.texts = [shown(value) for value in values]
        self.is_number = all(map(_is_number, values))
        self.is_empty = all(text == "-" for text in self.texts)
        self.width = max(map(width, [column.title, *self.texts]))

    @property
    def may_be_cut(self) -> bool:
        return not (self.column.whole or self.is_number)

    def pad(self, text: str, ellipsis: str) -> str:
        shorten = cut_middle if self.column.keeps_end else cut
        kept = shorten(text, self.width, ellipsis)
        padding = " " * (self.width - width(kept))
        return padding + kept if self.is_number else kept + padding


def _fits(laid: Sequence[_Laid], room: int, most: int) -> bool:
    """Whether there is room, when `most` of each column that may be cut is enough."""
    widths = (min(each.width, most) if each.may_be_cut else each.width for each in laid)
    return sum(widths) + len(GAP) * (len(laid) - 1) <= room


def _cut_longest(laid: Sequence[_Laid], room: int) -> None:
    """Narrow the longest column to the width of the next one, then both, until all fit."""
    over = sum(each.width for each in laid) + len(GAP) * (len(laid) - 1) - room
    while over > 0:
        open_to = [each for each in laid if each.may_be_cut and each.width > 1]
        if not open_to:
            return
        widest = max(each.width for each in open_to)
        longest = [each for each in open_to if each.width == widest]
        next_width = max((each.width for each in open_to if each.width < widest), default=1)
        step = min(widest - next_width, max(over // len(longest), 1))
        for each in longest:
            take = min(step, over)
            each.width -= take
            over -= take


def shown(value: Any) -> str:
    """A value as the text of a cell: numbers with commas, a dash for nothing, one line."""
    if _is_number(value):
        return f"{value:,}"
    text = "-" if value is None or value == "" else str(value)
    return printable(" ".join(text.split("\n")) if "\n" in text else text)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def width(text: str) -> int:
    """Columns on a terminal: letters of East Asia take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(map(_char_width, text))


def _char_width(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut(text: str, room: int, ellipsis: str = ELLIPSIS) -> str:
    """The text in `room` columns, with an ellipsis where something is missing."""
    if width(text) <= room:
        return text
    return text[: _fitting(text, room - len(ellipsis))] + ellipsis


def _fitting(text: str, room: int) -> int:
    """How many of its first characters stand in `room` columns."""
    used = 0
    for kept, char in enumerate(text):
        used += _char_width(char)
        if used > room:
            return kept
    return len(text)


def wrap(text: str, room: int, indent: str = "  ") -> list[str]:
    """Lines of `room` columns at most, those after the first one indented: broken at blanks, and in
    words that are longer than a line. By columns, which `textwrap` does not know."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        rest = word
        while width(joined := f"{line} {rest}" if line.strip() else line + rest) > room:
            kept = len(line)
            if width(indent + rest) > room:
                kept = max(_fitting(joined, room), len(indent) + 1)
            lines.append(joined[:kept].rstrip())
            rest, line = joined[kept:].lstrip(), indent
        line = joined
    return [*lines, line]


def cut_middle(text: str, room: int, ellipsis: str = ELLIPSIS) -> str:
    """The same with the end of the text as well, where two thirds of the room are the end's."""
    if width(text) <= room:
        return text
    reversed_end = cut(text[::-1], room * 2 // 3, "")
    start = cut(text, room - width(reversed_end), ellipsis)
    return start + reversed_end[::-1]
