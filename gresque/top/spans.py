"""Text of a terminal, in pieces that have a tone each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

from gresque.text import encodable, printable


class Span(NamedTuple):
    """`tone` has the words of a look: a colour by its meaning (`fail`, `warn`, `done`, `still`,
    `accent`, `dim`, `soft`), `bold`, `strike`."""

    text: str
    tone: str = ""


Spans = Sequence[Span]


@dataclass(frozen=True)
class Line:
    """One line of the screen. `ground` is what lies behind it: empty, `raised` or `cursor`."""

    spans: Spans
    ground: str = ""

    @property
    def text(self) -> str:
        return "".join(span.text for span in self.spans)


@dataclass(frozen=True)
class Glyphs:
    """The characters beside letters. Without UTF-8 they are ASCII, and so is all other text."""

    is_utf8: bool = True

    @property
    def ellipsis(self) -> str:
        return "…" if self.is_utf8 else "~"

    @property
    def bars(self) -> str:
        return "▁▂▃▄▅▆▇█" if self.is_utf8 else "_.:-=+*#"

    @property
    def live(self) -> str:
        return "●" if self.is_utf8 else "*"

    @property
    def paused(self) -> str:
        return "❚❚" if self.is_utf8 else "||"

    @property
    def stale(self) -> str:
        return "◌" if self.is_utf8 else "o"

    @property
    def selected(self) -> str:
        return "▸" if self.is_utf8 else "+"

    @property
    def none(self) -> str:
        return "–" if self.is_utf8 else "-"

    @property
    def thumb(self) -> str:
        return "▐" if self.is_utf8 else "|"

    def text(self, value: object) -> str:
        """A value out of Redis, as text that does nothing to a terminal."""
        found = printable(value)
        return found if self.is_utf8 or found.isascii() else encodable(found, "ascii")

    def spark(self, values: Sequence[float], width: int) -> str:
        """The last values as bars, the highest one full; blanks where there are too few."""
        last = values[-width:]
        most = max(last, default=0.0)
        bars = self.bars
        drawn = (bars[min(int(each / most * 7.99), 7)] if most > 0 else bars[0] for each in last)
        return "".join(drawn).rjust(width)


def width_of(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)


def fit(text: str, width: int, glyphs: Glyphs, *, right: bool = False, end: bool = False) -> str:
    """`text` in exactly this number of columns: cut, with `end` at its beginning, or filled with
    blanks, with `right` on the left."""
    taken = width_of(text)
    if taken > width:
        mark = glyphs.ellipsis
        if width <= len(mark):
            return set_cell_size(text, width)
        if not end:
            return set_cell_size(text, width - len(mark)) + mark
        kept = text
        while width_of(kept) > width - len(mark):
            kept = kept[1:]
        return _filled(mark + kept, width, right)
    return _filled(text, width, right)


def fit_spans(spans: Iterable[Span], width: int, glyphs: Glyphs) -> list[Span]:
    """Spans in exactly this number of columns."""
    found: list[Span] = []
    left = width
    for span in spans:
        taken = width_of(span.text)
        if taken > left:
            found.append(Span(fit(span.text, left, glyphs), span.tone))
            return found
        found.append(span)
        left -= taken
    if left:
        found.append(Span(" " * left))
    return found


def spread(left: Sequence[Span], right: Sequence[Span], width: int, glyphs: Glyphs) -> list[Span]:
    """`left` at the beginning of a line, `right` at its end; `left` is cut where both do not
    fit."""
    taken = sum(width_of(span.text) for span in right)
    if taken + 1 > width:
        return fit_spans(left, width, glyphs)
    return [*fit_spans(left, width - taken, glyphs), *right]


def _filled(text: str, width: int, right: bool) -> str:
    blanks = " " * (width - width_of(text))
    return blanks + text if right else text + blanks
