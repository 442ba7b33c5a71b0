"""Charts as SVG, made by the server: they need no script, they print, and take their colours from
the stylesheet. Each has a text for those who do not see it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from gresque.formats import rough, short
from gresque.web.values import value

LEFT, RIGHT, TOP, GAP = 44, 8, 18, 16
DONE_HEIGHT, FAILED_HEIGHT = 128, 40


@dataclass(frozen=True)
class Mark:
    """Something that happened, at `x` from 0 (left) to 1."""

    x: float
    text: str


@dataclass(frozen=True)
class Tick:
    x: float
    text: str


def spark(
    values: Sequence[float], label: str, width: int = 84, height: int = 20, kind: str = ""
) -> Markup:
    """A line without axes, from 0 to the highest value, with a dot at its end. `kind` is ok, bad or
    late, for the colour. Nothing for fewer than two values."""
    if len(values) < 2:
        return Markup("")
    path = _path(values, 1, 2, width - 5, height - 4, max(values) or 1)
    x, y = path.rpartition("L")[2].split()
    return Markup(
        '<svg width="{w}" height="{h}" viewBox="0 0 {w} {h}" role="img" aria-label="{label}">'
        '<path class="sl {kind}" d="{path}"/>'
        '<circle class="dot {kind}" cx="{x}" cy="{y}" r="1.9"/></svg>'
    ).format(w=width, h=height, label=value(label), kind=kind, path=path, x=x, y=y)


def meter(part: float, width: int = 84, height: int = 8, kind: str = "") -> Markup:
    """A bar that is full at 1."""
    return Markup(
        '<svg width="{w}" height="{h}" aria-hidden="true">'
        '<rect class="track" width="{w}" height="{h}" rx="1"/>'
        '<rect class="bar {kind}" width="{part:.1f}" height="{h}" rx="1"/></svg>'
    ).format(w=width, h=height, kind=kind, part=width * min(max(part, 0.0), 1.0))


def row_bar(part: float, kind: str = "") -> Markup:
    """A bar behind a row of a list, as wide as the row at 1."""
    return Markup(
        '<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="bar {kind}" width="{part:.1f}" height="10" opacity=".45"/></svg>'
    ).format(kind=kind, part=100 * min(max(part, 0.0), 1.0))


def cells(boxes: Sequence[tuple[float, str]], label: str) -> Markup:
    """One box a process, filled by the share of its threads in use. The other word is its state:
    block, gone, drain or nothing."""
    parts = []
    for number, (part, state) in enumerate(boxes):
        x, part = number * 17 + 1, min(max(part, 0.0), 1.0)
        parts.append(
            Markup(
                '<rect class="cell {state}" x="{x}" y="1.5" width="13" height="13" rx="1.5"/>'
                '<rect class="fillc {state}" x="{within}" y="{y:.1f}" width="10" height="{h:.1f}"/>'
            ).format(state=state, x=x, within=x + 1.5, y=3 + 10 * (1 - part), h=10 * part)
        )
    return Markup(
        '<svg width="{w}" height="16" role="img" aria-label="{label}">{parts}</svg>'
    ).format(w=len(boxes) * 17, label=value(label), parts=Markup("").join(parts))


def throughput(
    done: Sequence[float],
    failed: Sequence[float],
    label: str,
    *,
    unit: str = "/s",
    ticks: Iterable[Tick] = (),
    marks: Iterable[Mark] = (),
    width: int = 900,
) -> Markup:
    """Done above, failed in a panel of its own below: one axis of time, and two honest scales."""
    inner, base = width - LEFT - RIGHT, TOP + DONE_HEIGHT
    second = base + GAP
    bottom, right = second + FAILED_HEIGHT, width - RIGHT
    parts = [*_grid(done, right), *_panel(done, LEFT, TOP, inner, DONE_HEIGHT, top_of(done), "")]
    most_failed = top_of(failed)
    parts += [
        Markup(
            '<line class="grid" x1="{l}" x2="{r}" y1="{y}" y2="{y}"/>'
            '<text x="{x}" y="{ty}" text-anchor="end">{top}</text>'
        ).format(l=LEFT, r=right, y=second, x=LEFT - 6, ty=second + 4, top=short(most_failed)),
        *_panel(failed, LEFT, second, inner, FAILED_HEIGHT, most_failed, "f"),
        Markup(
            '<text class="t" x="{l}" y="10">done {unit}</text>'
            '<text class="t" x="{l4}" y="{y}">failed {unit}</text>'
        ).format(l=LEFT, l4=LEFT + 4, y=second + 11, unit=unit),
    ]
    parts += _ticks(ticks, inner, bottom)
    parts += _marks(sorted(marks, key=lambda each: each.x), inner, bottom)
    return Markup(
        '<svg class="chart" viewBox="0 0 {w} {h}" role="img" aria-label="{label}">{parts}</svg>'
    ).format(w=width, h=bottom + 20, label=value(label, 1_000), parts=Markup("").join(parts))


def lines(
    series: Sequence[tuple[Sequence[float], str]],
    label: str,
    *,
    ticks: Iterable[Tick] = (),
    seconds: bool = False,
    width: int = 620,
    height: int = 120,
) -> Markup:
    """Lines over one axis of time, on one scale from 0; the first ones lie behind. The word of each
    is "" or "f", for its colour. `seconds` writes the scale as times."""
    inner, base, right = width - LEFT - RIGHT, TOP + height, width - RIGHT
    most = [each for values, _ in series for each in values]
    top = _top_time(most) if seconds else top_of(most)
    parts: list[Markup] = []
    for number in (1, 2):
        at = round(top * number / 2, 3)
        parts.append(
            Markup(
                '<line class="grid" x1="{l}" x2="{r}" y1="{y:.1f}" y2="{y:.1f}"/>'
                '<text x="{x}" y="{ty:.1f}" text-anchor="end">{text}</text>'
            ).format(
                l=LEFT, r=right, y=(y := base - height * number / 2), x=LEFT - 6, ty=y + 4,
                text=_time(at) if seconds else short(at),
            )
        )  # fmt: skip
    for values, kind in series:
        parts += _panel(values, LEFT, TOP, inner, height, top, kind)
    parts += _ticks(ticks, inner, base)
    return Markup(
        '<svg class="chart" viewBox="0 0 {w} {h}" role="img" aria-label="{label}">{parts}</svg>'
    ).format(w=width, h=base + 20, label=value(label, 1_000), parts=Markup("").join(parts))


def _ticks(ticks: Iterable[Tick], inner: int, bottom: int) -> list[Markup]:
    return [
        Markup('<text x="{x:.1f}" y="{y}" text-anchor="{a}">{text}</text>').format(
            x=LEFT + inner * tick.x,
            y=bottom + 16,
            a="start" if tick.x < 0.02 else "end" if tick.x > 0.98 else "middle",
            text=tick.text,
        )
        for tick in ticks
    ]


def top_of(values: Iterable[float]) -> float:
    """The round number at which a scale ends: 1, 1.2, 1.5, 2, 3, 4, 6 or 8 times a power of ten."""
    most = max(values, default=0.0)
    if most <= 0:
        return 1.0
    power: float = 10.0 ** math.floor(math.log10(most))
    return next(step * power for step in (1, 1.2, 1.5, 2, 3, 4, 6, 8, 10) if step * power >= most)


_TIMES = (
    60, 120, 240, 600, 1_200, 2_400, 7_200, 14_400, 28_800, 57_600, 172_800, 345_600, 864_000,
)  # fmt: skip
"""Ends of a scale of seconds; half of each is round, too."""


def _top_time(seconds: Sequence[float]) -> float:
    most = max(seconds, default=0.0)
    if most <= 30:
        return top_of(seconds)
    return next((float(each) for each in _TIMES if each >= most), top_of(seconds))


def _time(seconds: float) -> str:
    return rough(seconds) if seconds >= 10 else f"{seconds:.3g} s"


def _grid(values: Sequence[float], right: int) -> list[Markup]:
    """Lines at round numbers: three of them where the top is 3, 6, 1.2 or 1.5, else two or four."""
    top, base = top_of(values), TOP + DONE_HEIGHT
    digits = round(top / 10.0 ** math.floor(math.log10(top)), 1)
    count = {1.0: 2, 2.0: 2, 4.0: 4, 8.0: 4}.get(digits, 3)
    lines = []
    for number in range(1, count + 1):
        y = base - DONE_HEIGHT * number / count
        lines.append(
            Markup(
                '<line class="grid" x1="{l}" x2="{r}" y1="{y:.1f}" y2="{y:.1f}"/>'
                '<text x="{x}" y="{ty:.1f}" text-anchor="end">{text}</text>'
            ).format(
                l=LEFT,
                r=right,
                y=y,
                x=LEFT - 6,
                ty=y + 4,
                text=short(round(top * number / count, 2)),
            )
        )
    return lines


def _panel(
    values: Sequence[float], x: int, y: int, width: int, height: int, top: float, kind: str
) -> list[Markup]:
    base = y + height
    axis = Markup('<line class="axis" x1="{x}" x2="{r}" y1="{y}" y2="{y}"/>').format(
        x=x, r=x + width, y=base
    )
    if len(values) < 2:
        return [axis]
    line = _path(values, x, y, width, height, top)
    drawn = Markup(
        '<path class="{k}area" d="{d} L{r} {b} L{x} {b}Z"/><path class="{k}line" d="{d}"/>'
    ).format(k=kind, d=line, r=x + width, b=base, x=x)
    return [drawn, axis]


def _marks(marks: Sequence[Mark], inner: int, bottom: int) -> list[Markup]:
    """A dashed line each; its text stands where it covers no other, or is left out."""
    parts, free_from = [], 0.0
    for mark in marks:
        x = LEFT + inner * mark.x
        text = value(mark.text, 40)
        parts.append(
            Markup(
                "<g><title>{text}</title>"
                '<line class="markl" x1="{x:.1f}" x2="{x:.1f}" y1="{y1}" y2="{y2}"/></g>'
            ).format(text=value(mark.text), x=x, y1=TOP - 6, y2=bottom)
        )
        wide = 6.2 * len(text)
        goes_left = mark.x > 0.7
        start = x - 5 - wide if goes_left else x + 5
        if start < max(free_from, LEFT + 50):
            continue
        free_from = start + wide + 8
        anchor = "end" if goes_left else "start"
        parts.append(
            Markup('<text class="strong" x="{x:.1f}" y="10" text-anchor="{a}">{t}</text>').format(
                x=x - 5 if goes_left else x + 5, a=anchor, t=text
            )
        )
    return parts


def _path(
    values: Sequence[float], x: float, y: float, width: float, height: float, top: float
) -> str:
    step = width / (len(values) - 1)
    return "M" + " L".join(
        f"{x + number * step:.1f} {y + height - min(each / top, 1.0) * height:.1f}"
        for number, each in enumerate(values)
    )
