"""A table that has exactly the width of the screen. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gresque.top.spans import Glyphs, Span, Spans, fit, fit_spans

MARK_COLUMNS = 2
"""At the beginning of a row: whether it is selected, or wrong."""


@dataclass(frozen=True)
class Column:
    """`width` 0 takes the room that is left, up to `most`. The column is left out on a screen of
    fewer than `from_width` columns, and grows by `grows` of each 100 that come on top of 80."""

    title: str
    width: int = 0
    right: bool = False
    from_width: int = 0
    gap: int = 2
    """Blanks after it."""
    grows: int = 0
    keeps_end: bool = False


Cell = str | Spans
"""A text in the tone of its row, or spans."""


@dataclass(frozen=True)
class Cells:
    """A row. `mark` stands before it in its tone; `tone` is that of cells without one."""

    cells: Sequence[Cell]
    mark: Span = Span("")
    tone: str = ""


def widths(columns: Sequence[Column], width: int) -> list[int]:
    """Of each column, without its gap; 0 for one that is left out."""
    shown = [column for column in columns if width >= column.from_width]
    room = width - MARK_COLUMNS - sum(column.gap for column in shown[:-1])
    extra = max(width - 80, 0)
    found = [
        0
        if width < column.from_width
        else column.width and column.width + column.grows * extra // 100
        for column in columns
    ]
    left = max(room - sum(found), 8)
    return [
        left if column.width == 0 and width >= column.from_width else taken
        for column, taken in zip(columns, found, strict=True)
    ]


def heading(columns: Sequence[Column], width: int, glyphs: Glyphs) -> list[Span]:
    cells = [[Span(column.title, "dim")] for column in columns]
    return row(columns, Cells(cells), width, glyphs)


def row(columns: Sequence[Column], cells: Cells, width: int, glyphs: Glyphs) -> list[Span]:
    """A line of exactly this width."""
    mark = cells.mark
    found = [Span(fit(mark.text, MARK_COLUMNS, glyphs), mark.tone)]
    for column, taken, cell in zip(columns, widths(columns, width), cells.cells, strict=True):
        if not taken:
            continue
        if isinstance(cell, str):
            text = fit(cell, taken, glyphs, right=column.right, end=column.keeps_end)
            found.append(Span(text, cells.tone))
        else:
            found += _spans(column, cell, taken, glyphs)
        found.append(Span(" " * column.gap))
    return fit_spans(found, width, glyphs)


def _spans(column: Column, cell: Spans, width: int, glyphs: Glyphs) -> list[Span]:
    if len(cell) == 1:
        text = fit(cell[0].text, width, glyphs, right=column.right, end=column.keeps_end)
        return [Span(text, cell[0].tone)]
    return fit_spans(cell, width, glyphs)
