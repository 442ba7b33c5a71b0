"""View 1: the jobs that run."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from heapq import merge
from typing import Any, ClassVar

from gresque.formats import number, tight
from gresque.inspector.filters import OF_RUNNING
from gresque.inspector.running_page import Matching, needs_jobs, waits_of
from gresque.inspector.snapshot import Published, Snapshot
from gresque.processes.short_names import short_process
from gresque.top.spans import Glyphs, Span
from gresque.top.state import Known, Outcome, Screenful
from gresque.top.table import Cells, Column
from gresque.top.views.view import Sort, View


class RunningView(View):
    name = "Running"
    columns = (
        Column("RUNS FOR", 8, right=True),
        Column("JOB"),
        Column("QUEUE", 10, from_width=100, grows=10),
        Column("WAITS ON", 22, from_width=72, gap=1, grows=20),
        Column("WHERE", 11, grows=20, keeps_end=True),
    )
    filter_keys = OF_RUNNING
    sorts: ClassVar[tuple[Sort, ...]] = (
        ("what blocks others first, then the oldest", lambda job: 0),
        ("the youngest first", lambda job: -job.since),
        ("by process", lambda job: (job.process, job.since)),
    )
    keys = (("K", "kill"),)
    enter = "stack"
    empty = "nothing runs"

    def __init__(self) -> None:
        self._asked: object = None
        self._found: Sequence[Published] = ()
        self._killed: tuple[object, ...] = ()
        self._shown: Sequence[Published] = ()
        self._waits_on: Callable[[Published], str] = lambda job: ""

    def rows(self, screen: Screenful) -> Sequence[Published]:
        snapshot = screen.snapshot
        if snapshot is None:
            return ()
        asked = snapshot, screen.here.wanted, screen.here.sort
        if asked != self._asked:
            # Each key asks again, and there may be thousands of rows.
            found = Matching.of(snapshot, screen.here.wanted).jobs
            if screen.here.sort % len(self.sorts):
                found = self.sorted(screen, found)
            self._asked, self._found = asked, found
            self._waits_on = waits_of(snapshot)
        killed = (self._found, *(each.job for each in screen.outcomes.values()))
        if killed != self._killed:
            self._killed, self._shown = killed, _with_ended(self._found, screen)
        return self._shown

    def key(self, row: Published) -> Hashable:
        return row.place

    def cells(self, row: Published, screen: Screenful) -> Cells:
        snapshot, glyphs = screen.snapshot, screen.glyphs
        assert snapshot is not None
        outcome = outcome_of(screen, row)
        known = known_job(screen, row)
        name, bracket, rest = glyphs.text(known.label if known else "…").partition("(")
        blocks = row.blocks_since is not None
        over = outcome is not None and outcome.is_over
        gone = " strike" if over else ""
        until = outcome.at if outcome is not None and outcome.at else snapshot.at
        age = tight(max(until - row.since, 0.0))
        waits = self._waits(row, snapshot, outcome, glyphs)
        mark = Span(glyphs.selected, "accent bold")
        if row.place not in screen.selected:
            mark = Span("✕" if glyphs.is_utf8 else "x", "fail bold") if blocks else Span("")
        return Cells(
            [
                [Span(age, "bold" + gone)],
                [Span(name, gone), Span(bracket + rest, "dim" + gone)],
                [Span(glyphs.text(known.queue) if known else "", "soft")],
                [waits],
                [Span(glyphs.text(short_process(row.process)), "soft" + gone)],
            ],
            mark,
        )

    def _ended(self) -> int:
        """Rows of jobs that do not run any more."""
        return len(self._shown) - len(self._found)

    def _waits(
        self, row: Published, snapshot: Snapshot, outcome: Outcome | None, glyphs: Glyphs
    ) -> Span:
        if outcome is not None:
            return Span(glyphs.text(outcome.text), "done bold" if outcome.is_over else "warn bold")
        if row.blocks_since is not None:
            process = snapshot.by_process.get(row.process)
            others = process.look.held - 1 if process else 0
            waiting = f"; {number(others)} others wait" if others > 1 else ""
            return Span(f"CPU{waiting}", "fail bold")
        wait = self._waits_on(row)
        return Span(glyphs.text(wait), "soft") if wait else Span(glyphs.none, "dim")

    def note(self, screen: Screenful, rows: Sequence[Any]) -> str:
        snapshot = screen.snapshot
        if snapshot is None:
            return ""
        short = snapshot.held - len(snapshot.running)
        few = f"; {number(short)} under 1 s" if short > 0 and screen.width >= 100 else ""
        if snapshot.jobs is None and needs_jobs(screen.here.wanted):
            return "reading the jobs in flight" + ("…" if screen.glyphs.is_utf8 else "")
        order = "the order is frozen" if screen.is_frozen else self.sort_name(screen)
        there = len(rows) - self._ended()
        return f"{number(there)} of {number(snapshot.held)} running{few}; {order}"


def known_job(screen: Screenful, row: Published) -> Known | None:
    """What is known of a job, from the row that was read for it or from all that are in flight."""
    known = screen.known.get(row.place)
    if known is not None and abs(known.since - row.since) < 0.5:
        return known
    outcome = outcome_of(screen, row)
    if outcome is not None and outcome.known is not None:
        return outcome.known
    jobs = screen.snapshot.jobs if screen.snapshot is not None else None
    held = jobs.get(row.place) if jobs is not None else None
    return None if held is None else Known(row.since, held.label, held.queue, held.id)


def outcome_of(screen: Screenful, row: Published) -> Outcome | None:
    found = screen.outcomes.get(row.place)
    same = found is not None and found.job is not None and abs(found.job.since - row.since) < 0.5
    return found if same else None


def _with_ended(rows: Sequence[Published], screen: Screenful) -> Sequence[Published]:
    """With the jobs that were killed and do not run any more, where they stood."""
    if not screen.outcomes:
        return rows
    there = {row.place for row in rows}
    ended = [
        each.job for each in screen.outcomes.values() if each.job and each.job.place not in there
    ]
    return [*_merged(rows, ended)] if ended else rows


def _merged(rows: Sequence[Published], ended: Sequence[Published]) -> Iterator[Published]:
    def order(job: Published) -> tuple[bool, float]:
        return job.blocks_since is None, job.blocks_since or job.since

    return merge(rows, sorted(ended, key=order), key=order)
