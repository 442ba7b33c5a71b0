"""View 2: the queues."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import ClassVar

from gresque.formats import number, rate, tight
from gresque.inspector.filters import QUEUE
from gresque.inspector.snapshot import QueueRow
from gresque.top.spans import Span
from gresque.top.state import Screenful
from gresque.top.table import Cells, Column
from gresque.top.views.view import Sort, View

LATE_SECONDS = 60.0


class QueuesView(View):
    name = "Queues"
    columns = (
        Column("QUEUE"),
        Column("WAITING", 9, right=True),
        Column("OLDEST", 8, right=True),
        Column("IN/S", 6, right=True, from_width=70),
        Column("OUT/S", 6, right=True, from_width=70),
        Column("EMPTY IN", 8, right=True),
        Column("STATE", 18, grows=60),
    )
    filter_keys = (QUEUE,)
    sorts: ClassVar[tuple[Sort, ...]] = (
        ("the latest first", lambda q: (-(q.age_seconds or 0.0), -q.waiting, q.name)),
        ("the longest first", lambda q: (-q.waiting, q.name)),
        ("by name", lambda q: q.name),
    )
    keys = (("P", "pause"), ("U", "unpause"), ("L", "limit"))
    enter = "its jobs"
    selects = False
    empty = "no queues"

    def count(self, screen: Screenful) -> Span | None:
        return None if screen.snapshot is None else Span(number(len(screen.snapshot.queues)))

    def rows(self, screen: Screenful) -> Sequence[QueueRow]:
        if screen.snapshot is None:
            return ()
        wanted = screen.here.wanted
        return self.sorted(
            screen,
            [
                row
                for row in screen.snapshot.queues
                if wanted.matches(queue=row.name, text=lambda row=row: row.name)  # type: ignore[misc]
            ],
        )

    def key(self, row: QueueRow) -> Hashable:
        return "queue", row.name

    def cells(self, row: QueueRow, screen: Screenful) -> Cells:
        glyphs = screen.glyphs
        late = row.age_seconds is not None and row.age_seconds >= LATE_SECONDS
        is_late = "warn bold" if late and not row.is_paused else ""
        outcome = screen.outcomes.get(self.key(row))
        state = self._state(row, screen) if outcome is None else Span(outcome.text, "done bold")
        return Cells(
            [
                [Span(glyphs.text(row.name), "bold" if row.waiting else "")],
                number(row.waiting),
                [Span(_or(tight(row.age_seconds), glyphs.none), is_late)],
                _or(rate(row.in_rate), glyphs.none),
                _or(rate(row.out_rate), glyphs.none),
                self._empty(row, glyphs.none),
                [Span(glyphs.text(state.text), state.tone)],
            ],
            Span(glyphs.selected, "accent bold") if self.key(row) in screen.selected else Span(""),
        )

    def _empty(self, row: QueueRow, none: str) -> str:
        if not row.waiting:
            return none
        return tight(row.empty_seconds) if row.empty_seconds is not None else "never"

    def _state(self, row: QueueRow, screen: Screenful) -> Span:
        if row.is_paused:
            return Span("paused" if row.policy.paused else "all are paused", "still bold")
        if not row.is_served:
            return Span("nobody works it", "warn bold" if row.waiting else "dim")
        cap, counted = row.policy.cap, row.counted or 0
        said = [f"cap {cap:,}, {counted:,} run"] if cap is not None else []
        said += [row.policy.rate.text] if row.policy.rate is not None else []
        return Span(", ".join(said), "warn" if cap is not None and counted >= cap else "soft")

    def note(self, screen: Screenful, rows: Sequence[QueueRow]) -> str:
        waiting = sum(row.waiting for row in rows)
        return f"{number(len(rows))} queues with {number(waiting)} jobs; {self.sort_name(screen)}"


def _or(text: str, none: str) -> str:
    return none if text == "–" else text
