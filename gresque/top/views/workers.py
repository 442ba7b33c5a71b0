"""View 5: worker processes, and how they are."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import ClassVar

from gresque.formats import number, size, tight
from gresque.inspector.filters import HOST
from gresque.inspector.snapshot import ProcessRow
from gresque.text import counted
from gresque.top.spans import Span
from gresque.top.state import Screenful
from gresque.top.table import Cells, Column
from gresque.top.views.view import Sort, View

TONES = {
    "blocked": "fail bold", "frozen": "fail bold", "silent": "warn bold", "fenced": "warn",
    "paused": "still bold", "draining": "still bold", "dry": "still", "ready": "done",
}  # fmt: skip
WORST = ("blocked", "frozen", "silent", "fenced")
SLOW_SECONDS = 1.0


class ProcessView(View):
    """What the views of processes share."""

    filter_keys = (HOST,)
    empty = "no worker processes"

    def rows(self, screen: Screenful) -> Sequence[ProcessRow]:
        if screen.snapshot is None:
            return ()
        wanted, snapshot = screen.here.wanted, screen.snapshot
        ids = {*wanted.processes([row.id for row in snapshot.processes])}
        return self.sorted(
            screen,
            [
                row
                for row in snapshot.processes
                if row.id in ids
                and wanted.minus(HOST).matches(text=lambda row=row: f"{row.id} {row.state}")  # type: ignore[misc]
            ],
        )

    def key(self, row: ProcessRow) -> Hashable:
        return self.name, row.id

    def mark(self, row: ProcessRow, screen: Screenful) -> Span:
        glyphs = screen.glyphs
        if self.key(row) in screen.selected:
            return Span(glyphs.selected, "accent bold")
        if row.state in ("blocked", "frozen"):
            return Span("✕" if glyphs.is_utf8 else "x", "fail bold")
        if row.state in ("silent", "fenced"):
            return Span(glyphs.stale, "warn bold")
        return Span("")


class WorkersView(ProcessView):
    name = "Workers"
    columns = (
        Column("WHERE", keeps_end=True),
        Column("STATE", 13, grows=10),
        Column("THREADS", 10, right=True),
        Column("DONE", 9, right=True, from_width=70),
        Column("FAILED", 7, right=True, from_width=90),
        Column("CPU", 4, right=True, from_width=70),
        Column("MEMORY", 7, right=True),
        Column("LAG", 6, right=True, from_width=70, gap=1),
        Column("UP FOR", 7, right=True, from_width=100),
        Column("QUEUES", 16, from_width=116, grows=30),
    )
    sorts: ClassVar[tuple[Sort, ...]] = (
        ("what stands still first", lambda r: (r.state not in WORST, r.host, r.started or 0.0)),
        ("the busiest first", lambda r: (-r.threads_used, r.host)),
        ("the most memory first", lambda r: -(r.look.vitals.rss or 0) if r.look.vitals else 0),
        ("the most CPU first", lambda r: -(r.cpu_share or 0.0)),
    )
    keys = (
        ("K", "kill its jobs"),
        ("P", "pause"),
        ("U", "continue"),
        ("D", "drain"),
        ("R", "recycle"),
    )
    enter = "its jobs"

    def count(self, screen: Screenful) -> Span | None:
        return None if screen.snapshot is None else Span(number(len(screen.snapshot.processes)))

    def cells(self, row: ProcessRow, screen: Screenful) -> Cells:
        glyphs, look, vitals = screen.glyphs, row.look, row.look.vitals
        at = screen.snapshot.at if screen.snapshot is not None else 0.0
        outcome = screen.outcomes.get(self.key(row))
        state = Span(row.state or glyphs.none, TONES.get(row.state, "soft"))
        if outcome is not None:
            state = Span(glyphs.text(outcome.text), "done bold")
        elif row.is_silent:
            state = Span(f"silent {tight(look.beat_age)}", "warn bold")
        lag = vitals.lag if vitals else None
        lag = row.blocked_seconds if row.blocked_seconds is not None else lag
        rss = vitals.rss if vitals else None
        full = bool(row.threads) and row.threads_used >= row.threads
        return Cells(
            [
                [Span(glyphs.text(row.name))],
                [state],
                [Span(f"{row.threads_used} of {row.threads}", "warn" if full else "")],
                number(look.totals.done),
                [Span(number(look.totals.failed), "fail" if look.totals.failed else "dim")],
                f"{row.cpu_share:.0%}" if row.cpu_share is not None else glyphs.none,
                size(rss) if rss is not None else glyphs.none,
                [
                    Span(
                        tight(lag) if lag is not None else glyphs.none,
                        "fail bold" if (lag or 0.0) >= SLOW_SECONDS else "",
                    )
                ],
                tight(max(at - row.started, 0.0)) if row.started else glyphs.none,
                [Span(glyphs.text(vitals.queues) if vitals else "", "dim")],
            ],
            self.mark(row, screen),
        )

    def note(self, screen: Screenful, rows: Sequence[ProcessRow]) -> str:
        hosts = len({row.host for row in rows})
        said = f"{number(len(rows))} processes on {number(hosts)} "
        said += f"{'host' if hosts == 1 else 'hosts'}; "
        others = screen.snapshot.look.others if screen.snapshot is not None else ()
        if others:
            dead = sum(each.seems_dead for each in others)
            said += f"{counted(len(others), 'worker')} of other programs"
            said += f", {number(dead)} without a heartbeat; " if dead else "; "
        return said + self.sort_name(screen)
