"""View 6: the accounts of processes. What each has reserved is done, failed, given back or held."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from gresque.formats import number, tight
from gresque.inspector.snapshot import ProcessRow
from gresque.processes.short_names import short_process
from gresque.top.spans import Span
from gresque.top.state import Screenful
from gresque.top.table import Cells, Column
from gresque.top.views.view import Sort
from gresque.top.views.workers import ProcessView


class LedgerView(ProcessView):
    name = "Ledger"
    enter = "its jobs"
    selects = False
    columns = (
        Column("PROCESS", keeps_end=True),
        Column("RESERVED", 9, right=True),
        Column("DONE", 9, right=True),
        Column("FAILED", 7, right=True),
        Column("RETRIED", 7, right=True, from_width=76),
        Column("BACK", 6, right=True, from_width=70),
        Column("HELD", 5, right=True),
        Column("BEAT", 6, right=True, gap=1),
    )
    sorts: ClassVar[tuple[Sort, ...]] = (
        ("the most held first", lambda r: (-r.look.held, r.host)),
        ("the longest silent first", lambda r: -r.look.beat_age),
        ("by process", lambda r: (r.host, r.started or 0.0)),
    )

    def cells(self, row: ProcessRow, screen: Screenful) -> Cells:
        glyphs, totals = screen.glyphs, row.look.totals
        late = "warn bold" if row.is_silent else ""
        return Cells(
            [
                [Span(glyphs.text(row.name))],
                number(totals.reserved),
                number(totals.done),
                [Span(number(totals.failed), "fail" if totals.failed else "dim")],
                number(totals.retried),
                number(totals.requeued),
                [Span(number(row.look.held), "bold" if row.look.held else "dim")],
                [Span(tight(row.look.beat_age), late)],
            ],
            self.mark(row, screen),
        )

    def note(self, screen: Screenful, rows: Sequence[ProcessRow]) -> str:
        held = sum(row.look.held for row in rows)
        said = f"{number(held)} jobs in flight"
        if screen.recoveries:
            last = screen.recoveries[0]
            name = screen.glyphs.text(short_process(last.process))
            said += f"; last recovery {last.at[:16].replace('T', ' ')}: {name}, "
            said += f"{number(last.requeued)} given back"
        return f"{said}; {self.sort_name(screen)}"
