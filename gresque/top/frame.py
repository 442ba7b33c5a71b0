"""Draws a frame: the lines of the whole screen, each exactly as wide as it. Pure.

gresque top  acme-production                  ● live 1 s    03:11:57  ? help
 done    671/s ▇▇▇██▆▆█▇▇█▇█▃█▆██▇█  waiting  18,412 ▁▁▁▁▁▁▂▃▃▄▅▆▆▇██ mail 6m12s
 failed  8.6/s ▁▁▁▁▁▁▁▁▃▃▃▄▅█▆▄▄▄▄▄  running   3,912 of 24,000  47 of 48 procs
✕ web-07:5123 reports.BuildPdf blocks its process 14.2 s, 499 wait      !1 kill
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from gresque.formats import number, rate, short, tight
from gresque.inspector.snapshot import Snapshot
from gresque.inspector.verdict import Line as Wrong
from gresque.top.spans import Glyphs, Line, Span, fit, fit_spans, spread, width_of
from gresque.top.state import Screenful
from gresque.top.table import heading, row
from gresque.top.views import FAILED, VIEWS
from gresque.top.views.view import View

LINES_OF_VERDICT = 3
MOST_OF_VERDICT = 6
TALL = 32
LOW = 16
"""A screen of fewer lines has one line of the verdict, and no rates."""


def draw(screen: Screenful, *, with_keys: bool = True) -> list[Line]:
    """As many lines as the screen has. It moves the cursor to where its row is."""
    rows = rows_of(screen)
    head = _head(screen, rows)
    room = table_room(screen)
    lines = [*head, *_table(screen, rows, room)]
    if screen.stack is not None:
        lines += _stack(screen, screen.height - len(lines) - 1)
    if with_keys:
        lines += [Line(fit_spans([], screen.width, screen.glyphs))] * (
            screen.height - 1 - len(lines)
        )
        lines.append(_keys(screen))
    return _in_grey(screen, lines[: screen.height])


def rows_of(screen: Screenful) -> Sequence[Any]:
    """All rows of this view. While rows are selected their order stays."""
    view = VIEWS[screen.view]
    found = view.rows(screen)
    if not screen.is_frozen:
        screen.order, screen.in_order = (), None
        return found
    if screen.in_order is not None and screen.in_order[0] is found:
        return screen.in_order[1]  # each key asks several times, and there may be thousands
    by_key = {view.key(each): each for each in found}
    if not screen.order:
        screen.order = tuple(by_key)
    kept = [by_key[key] for key in screen.order if key in by_key]
    known = set(screen.order)
    kept += [each for key, each in by_key.items() if key not in known]
    screen.in_order = found, kept
    return kept


def table_room(screen: Screenful) -> int:
    """How many rows of the table are on the screen."""
    taken = _head_height(screen) + 2  # the titles of the columns, and the keys
    if screen.stack is not None:
        return max((screen.height - taken) // 2, 1)
    return max(screen.height - taken, 1)


def follow(screen: Screenful, rows: Sequence[Any]) -> None:
    """Keep the cursor on its row, and its row on the screen."""
    here, view = screen.here, VIEWS[screen.view]
    if here.key is not None and not (
        here.cursor < len(rows) and view.key(rows[here.cursor]) == here.key
    ):
        found = next((n for n, each in enumerate(rows) if view.key(each) == here.key), None)
        here.cursor = here.cursor if found is None else found
    move_to(screen, rows, here.cursor, keeps_key=False)


def move_to(
    screen: Screenful, rows: Sequence[Any], position: int, *, keeps_key: bool = True
) -> None:
    here, room = screen.here, table_room(screen)
    here.cursor = max(min(position, len(rows) - 1), 0)
    here.top = max(min(here.top, here.cursor, len(rows) - room), here.cursor - room + 1, 0)
    if rows and (keeps_key or here.key is not None):
        # At the top the cursor stays at the top, whatever comes to stand there.
        here.key = VIEWS[screen.view].key(rows[here.cursor]) if here.cursor else None


def row_under_cursor(screen: Screenful) -> Any | None:
    rows = rows_of(screen)
    follow(screen, rows)
    return rows[screen.here.cursor] if rows else None


def shown(screen: Screenful) -> Sequence[Any]:
    """The rows on the screen."""
    rows = rows_of(screen)
    follow(screen, rows)
    return rows[screen.here.top : screen.here.top + table_room(screen)]


# The head


def _head_height(screen: Screenful) -> int:
    rates = 2 if screen.height >= LOW else 0
    return 1 + rates + max(len(_wrongs(screen)), 1) + 2


def _head(screen: Screenful, rows: Sequence[Any]) -> list[Line]:
    lines = [_bar(screen)]
    if screen.height >= LOW:
        lines += _rates(screen)
    lines += _verdict(screen)
    lines += [_tabs(screen), _filter(screen, rows)]
    return lines


def _bar(screen: Screenful) -> Line:
    glyphs, snapshot = screen.glyphs, screen.snapshot
    if screen.is_paused:
        live = Span(f"{glyphs.paused} paused", "still bold")
    elif snapshot is None or snapshot.is_stale:
        age = f"{tight(snapshot.age)} old" if snapshot is not None else "no answer"
        live = Span(f"{glyphs.stale} {age}", "warn bold")
    else:
        live = Span(f"{glyphs.live} live 1 s", "done")
    clock = datetime.fromtimestamp(screen.clock, UTC).astimezone().strftime("%H:%M:%S")
    left = [Span("gresque", "accent bold"), Span(f" top  {glyphs.text(screen.namespace)}")]
    right = [live, Span(f"    {clock}  "), Span("?", "bold"), Span(" help")]
    return Line(spread(left, right, screen.width, glyphs), "raised")


def _rates(screen: Screenful) -> list[Line]:
    glyphs, width, snapshot = screen.glyphs, screen.width, screen.snapshot
    if snapshot is None:
        return [Line(fit_spans([], width, glyphs))] * 2
    extra = width - 80
    ends = 20 + max(extra // 3, -10)
    waits = 16 + max(extra // 3, -10) if extra < 0 else 16 + extra // 3
    done, failed = _series(snapshot)
    failing = snapshot.failed_rate > 0
    tone = "fail" if failing else "dim"
    first = [
        Span(f" done{_per_second(snapshot.done_rate):>9} "),
        Span(glyphs.spark(done, ends), "done"),
        Span(f"  waiting {number(snapshot.waiting):>7} "),
        Span(glyphs.spark(_waiting(snapshot), waits), "warn" if _grows(snapshot) else "soft"),
        *_oldest(snapshot, glyphs, max(width - 33 - ends - waits - 1, 0)),
    ]
    second = [
        Span(" failed"),
        Span(f"{_per_second(snapshot.failed_rate):>7} ", "fail bold" if failing else ""),
        Span(glyphs.spark(failed, ends), tone),
        Span(f"  running {number(snapshot.held):>7} of {number(snapshot.threads)}  "),
        *_processes(snapshot),
    ]
    return [Line(fit_spans(each, width, glyphs)) for each in (first, second)]


def _per_second(value: float) -> str:
    text = rate(value)
    return f"{text if len(text) <= 6 else short(value).replace(' ', '')}/s"


def _series(snapshot: Snapshot) -> tuple[list[float], list[float]]:
    """Done and failed by the second. Where no metrics are kept, since this program runs."""
    if snapshot.trends.are_kept:
        points = snapshot.trends.seconds.points
        return [p.done_rate for p in points], [p.failed_rate for p in points]
    return [p.done for p in snapshot.paces], [p.failed for p in snapshot.paces]


def _waiting(snapshot: Snapshot) -> list[float]:
    """By the minute, and now; or by the second, where there are no minutes yet."""
    depths = [*snapshot.trends.depths.values()]
    if depths and len(depths[0]) > 2:
        return [*(float(sum(each.depth for each in at)) for at in zip(*depths, strict=True)),
                float(snapshot.waiting)]  # fmt: skip
    return [float(pace.waiting) for pace in snapshot.paces]


def _grows(snapshot: Snapshot) -> bool:
    return any(row.growth > 0 and (row.age_seconds or 0) >= 60 for row in snapshot.queues)


def _oldest(snapshot: Snapshot, glyphs: Glyphs, room: int) -> list[Span]:
    oldest = snapshot.oldest
    if oldest is None or room < 8:
        return []
    age = tight(oldest.age_seconds)
    name = fit(glyphs.text(oldest.name), max(room - len(age) - 1, 1), glyphs).rstrip()
    late = "warn bold" if (oldest.age_seconds or 0.0) >= 60 else "soft"
    return [Span(f" {name} "), Span(age, late)]


def _processes(snapshot: Snapshot) -> list[Span]:
    living = snapshot.living
    expected = max(snapshot.expected_processes, living)
    return [Span(f"{living:,} of {expected:,} procs", "warn" if living < expected else "soft")]


# The verdict


def _wrongs(screen: Screenful) -> Sequence[Wrong]:
    if screen.snapshot is None:
        return ()
    most = MOST_OF_VERDICT if screen.height >= TALL else LINES_OF_VERDICT
    return screen.snapshot.verdict.lines[: most if screen.height >= LOW else 1]


def _verdict(screen: Screenful) -> list[Line]:
    glyphs, width, snapshot = screen.glyphs, screen.width, screen.snapshot
    if snapshot is None:
        said = screen.trouble or "waiting for Redis"
        return [Line(fit_spans([Span(glyphs.text(said), "warn bold")], width, glyphs))]
    wrongs = _wrongs(screen)
    if not wrongs:
        calm = Span(glyphs.text(snapshot.verdict.calm), "soft")
        return [Line(fit_spans([calm], width, glyphs))]
    labels = [f" {each.actions[0].label}" if each.actions else "" for each in wrongs]
    longest = max(map(width_of, labels))
    more = snapshot.verdict.count - len(wrongs)
    lines = []
    for position, (wrong, label) in enumerate(zip(wrongs, labels, strict=True), 1):
        is_last = position == len(wrongs)
        right = [Span(f" {more:,} more ", "dim")] if more and is_last else []
        right += [Span(f" !{position}", "bold"), Span(fit(label, longest, glyphs))]
        lines.append(Line(spread(_wrong(wrong, glyphs), right, width, glyphs)))
    return lines


def _wrong(wrong: Wrong, glyphs: Glyphs) -> list[Span]:
    severity = wrong.severity
    mark = severity.mark if glyphs.is_utf8 else severity.plain
    tone = f"{severity.tone} bold"
    return [Span(f"{mark} {glyphs.text(wrong.subject)} ", tone), Span(glyphs.text(wrong.text))]


# The lines above the table


def _tabs(screen: Screenful) -> Line:
    spans = _tab_spans(screen, with_counts=True)
    if sum(width_of(span.text) for span in spans) > screen.width:
        spans = _tab_spans(screen, with_counts=False)
    return Line(fit_spans(spans, screen.width, screen.glyphs), "raised")


def _tab_spans(screen: Screenful, with_counts: bool) -> list[Span]:
    spans: list[Span] = []
    for position, view in enumerate(VIEWS):
        is_here = position == screen.view
        spans.append(Span(f"{position + 1} {view.name}", "accent bold" if is_here else ""))
        count = view.count(screen)
        if count is not None and count.text and (with_counts or position == FAILED == screen.view):
            spans += [Span(" "), count]
        spans.append(Span("  "))
    return spans[:-1]


def _filter(screen: Screenful, rows: Sequence[Any]) -> Line:
    glyphs = screen.glyphs
    note = Span(glyphs.text(VIEWS[screen.view].note(screen, rows)), "dim")
    if screen.editing is not None:
        cursor = "▏" if glyphs.is_utf8 else "_"
        typed = [Span("/ ", "accent bold"), Span(f"{glyphs.text(screen.editing)}{cursor}", "bold")]
        return Line(fit_spans(typed, screen.width, glyphs))
    wanted = glyphs.text(str(screen.here.wanted))
    spans = [Span("/ ", "dim"), Span(f"{wanted}   " if wanted else "", "bold"), note]
    return Line(fit_spans(spans, screen.width, glyphs))


# The table, and what stands below it


def _table(screen: Screenful, rows: Sequence[Any], room: int) -> list[Line]:
    view, glyphs, width = VIEWS[screen.view], screen.glyphs, screen.width
    follow(screen, rows)
    here = screen.here
    inner = width - 1
    lines = [Line([*heading(view.columns, inner, glyphs), Span(" ")])]
    some = rows[here.top : here.top + room]
    thumb = _thumb(len(rows), here.top, room)
    for position, each in enumerate(some):
        spans = row(view.columns, view.cells(each, screen), inner, glyphs)
        bar = Span(glyphs.thumb if position in thumb else " ", "accent")
        is_here = here.top + position == here.cursor
        lines.append(Line([*spans, bar], "cursor" if is_here else ""))
    if not some and screen.snapshot is not None:
        text = "nothing matches the filter" if screen.here.wanted else view.empty
        lines.append(Line(fit_spans([Span(f"  {text}", "dim")], width, glyphs)))
    blank = Line(fit_spans([], width, glyphs))
    return lines + [blank] * (room + 1 - len(lines))


def _thumb(count: int, top: int, room: int) -> range:
    """The lines at which the bar on the right stands; none where all rows are on the screen."""
    if count <= room:
        return range(0)
    size = max(room * room // count, 1)
    first = round((room - size) * top / max(count - room, 1))
    return range(first, first + size)


def _stack(screen: Screenful, room: int) -> list[Line]:
    stack, glyphs, width = screen.stack, screen.glyphs, screen.width
    assert stack is not None
    lines = [Line(fit_spans([Span(f"  {glyphs.text(stack.title)}", "bold")], width, glyphs),
                  "raised")]  # fmt: skip
    found = ["asking its process…" if glyphs.is_utf8 else "asking its process"]
    found = found if stack.lines is None else stack.lines
    stack.top = max(min(stack.top, len(found) - room + 1), 0)
    lines += [
        Line(fit_spans([Span(f"  {glyphs.text(text)}", "soft")], width, glyphs))
        for text in found[stack.top : stack.top + room - 1]
    ]
    blank = Line(fit_spans([], width, glyphs))
    return lines + [blank] * (room - len(lines))


def _keys(screen: Screenful) -> Line:
    glyphs, width = screen.glyphs, screen.width
    if screen.message:
        return Line(fit_spans([Span(glyphs.text(screen.message), "warn bold")], width, glyphs),
                    "raised")  # fmt: skip
    keys: Sequence[tuple[str, str]]
    if screen.editing is not None:
        keys = [("Enter", "filter"), ("Esc", "leave it"), ("Ctrl-U", "clear")]
    elif screen.bang:
        keys = [("1 2 3", "act on that line of the verdict"), ("Esc", "leave it")]
    else:
        keys = _keys_that_fit(VIEWS[screen.view], width)
    spans = [part for key, word in keys for part in (Span(key, "bold"), Span(f" {word}  ", "soft"))]
    return Line(fit_spans(spans, width, glyphs), "raised")


def _keys_that_fit(view: View, width: int) -> Sequence[tuple[str, str]]:
    """Those that anybody knows go first; `?` has them all."""
    keys = [("j k", "move")]
    keys += [("x", "select")] if view.selects else []
    keys += [("Enter", view.enter), *view.keys]
    keys += [("/", "filter"), ("s", "sort"), ("p", "pause"), ("q", "quit")]
    for dispensable in ("j k", "p", "x", "s"):
        if sum(len(key) + len(word) + 3 for key, word in keys) - 2 > width:
            keys = [each for each in keys if each[0] != dispensable]
    return keys


def _in_grey(screen: Screenful, lines: list[Line]) -> list[Line]:
    """Old numbers are not shown as if they were new. The reason is."""
    snapshot = screen.snapshot
    if snapshot is None or screen.is_paused or not snapshot.is_stale:
        return lines
    verdict = 3 if screen.height >= LOW else 1
    kept = {0, len(lines) - 1, verdict if snapshot.trouble else 0}
    return [
        line
        if position in kept
        else Line([Span(span.text, "dim") for span in line.spans], line.ground)
        for position, line in enumerate(lines)
    ]
