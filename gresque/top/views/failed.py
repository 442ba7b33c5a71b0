"""View 3: failed jobs, by class, exception and where they broke."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import ClassVar

from gresque.formats import number, rough
from gresque.inspector.failed_groups import FailedGroup
from gresque.inspector.filters import OF_FAILED
from gresque.top.spans import Span
from gresque.top.state import Screenful
from gresque.top.table import Cells, Column
from gresque.top.views.view import Sort, View

HOURS = 12


class FailedView(View):
    name = "Failed"
    columns = (
        Column("FAILED", 9, right=True),
        Column("CLASS"),
        Column("EXCEPTION", 18, grows=20),
        Column("AT", 20, from_width=100, grows=30, keeps_end=True),
        Column("12 h", HOURS, from_width=72),
        Column("LAST", 8, right=True),
    )
    filter_keys = OF_FAILED
    sorts: ClassVar[tuple[Sort, ...]] = (
        ("the most first", lambda g: -g.count),
        ("the last first", lambda g: (-g.last, -g.count)),
        ("by class", lambda g: (g.key.job_class or "", -g.count)),
    )
    keys = (("R", "retry"), ("D", "remove"))
    empty = "no failed jobs are kept"

    def count(self, screen: Screenful) -> Span | None:
        if screen.snapshot is None:
            return None
        kept = screen.snapshot.look.kept_failed
        return Span(number(kept), "fail" if kept else "")

    def rows(self, screen: Screenful) -> Sequence[FailedGroup]:
        wanted = screen.here.wanted
        return self.sorted(
            screen,
            [
                group
                for group in screen.groups
                if wanted.matches(
                    job_class=group.key.job_class,
                    queue=group.key.queue,
                    exception=group.key.exception,
                    text=lambda group=group: f"{group.key} {group.error}",  # type: ignore[misc]
                )
            ],
        )

    def key(self, row: FailedGroup) -> Hashable:
        return "failed", row.key

    def cells(self, row: FailedGroup, screen: Screenful) -> Cells:
        glyphs, now = screen.glyphs, screen.clock
        outcome = screen.outcomes.get(self.key(row))
        key = row.key
        error = Span(glyphs.text(key.exception or "?"))
        if outcome is not None:
            error = Span(glyphs.text(outcome.text), "done bold")
        return Cells(
            [
                [Span(number(row.count), "fail bold")],
                [Span(glyphs.text("other groups" if row.is_rest else key.job_class or "no class"))],
                [error],
                [Span(glyphs.text(key.frame or ""), "dim")],
                [Span(glyphs.spark(row.by_hour(now, HOURS), HOURS), "fail")],
                rough(max(now - row.last, 0)) if row.last else glyphs.none,
            ],
            Span(glyphs.selected, "accent bold") if self.key(row) in screen.selected else Span(""),
        )

    def note(self, screen: Screenful, rows: Sequence[FailedGroup]) -> str:
        said = f"{number(len(rows))} groups; {self.sort_name(screen)}"
        progress = screen.progress
        if progress is not None and not progress.is_complete:
            said += f"; of the newest {number(progress.read)}, counting, {progress.percent} %"
        return said
