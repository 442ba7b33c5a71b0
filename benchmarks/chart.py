"""Bar charts as SVG, for light and dark pages. Pure: numbers in, text out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH = 760
LEFT, RIGHT, TOP, ROW = 110, 130, 64, 30
STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #374151 }
.title { font-size: 16px; font-weight: 600; fill: #111827 }
.note { font-size: 12px; fill: #6b7280 }
.ours { fill: #2563eb } .other { fill: #9ca3af } .line { stroke: #d1d5db }
.name { text-anchor: end } .strong { font-weight: 600 }
@media (prefers-color-scheme: dark) {
  text { fill: #d1d5db } .title { fill: #f3f4f6 } .note { fill: #9ca3af }
  .ours { fill: #60a5fa } .other { fill: #6b7280 } .line { stroke: #4b5563 }
}
"""


class Bar(NamedTuple):
    """From `low` (0 for a plain bar) to `high`, which is also written in words."""

    name: str
    high: float
    words: str
    low: float = 0.0
    ours: bool = False


def bars(title: str, note: str, rows: Sequence[Bar], *, logarithmic: bool = False) -> str:
    """Horizontal bars in the order given. On a logarithmic scale each runs from low to high, and
    lines mark the powers of ten."""
    height = TOP + ROW * len(rows) + 28
    room = WIDTH - LEFT - RIGHT
    largest = max((row.high for row in rows), default=1.0) or 1.0
    lines: list[tuple[float, str]] = []
    if logarithmic:
        first = math.floor(math.log10(min(row.low for row in rows)))
        last = math.ceil(math.log10(largest))

        def place(value: float) -> float:
            return LEFT + room * (math.log10(value) - first) / max(last - first, 1)

        lines = [(place(10.0**power), f"{10.0**power:g}") for power in range(first, last + 1)]
    else:

        def place(value: float) -> float:
            return LEFT + room * value / largest

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" aria-label="{escape(title)}">',
        f"<style>{STYLE}</style>",
        f'<text class="title" x="0" y="20">{escape(title)}</text>',
        f'<text class="note" x="0" y="42">{escape(note)}</text>',
    ]
    bottom = TOP + ROW * len(rows)
    for x, label in lines:
        out.append(f'<line class="line" x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{bottom}"/>')
        out.append(
            f'<text class="note" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{label}</text>'
        )
    for number, row in enumerate(rows):
        y = TOP + ROW * number
        start = place(row.low) if row.low else LEFT
        width = max(place(row.high) - start, 2)
        kind, strong = ("ours", " strong") if row.ours else ("other", "")
        out += [
            f'<text class="name{strong}" x="{LEFT - 10}" y="{y + 16}">{escape(row.name)}</text>',
            f'<rect class="{kind}" x="{start:.1f}" y="{y + 2}" width="{width:.1f}" '
            f'height="{ROW - 10}" rx="3"/>',
            f'<text class="{strong.strip()}" x="{start + width + 8:.1f}" y="{y + 16}">'
            f"{escape(row.words)}</text>",
        ]
    return "\n".join([*out, "</svg>"]) + "\n"
