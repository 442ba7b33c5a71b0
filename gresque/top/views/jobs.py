"""View 4: what each class did in the last hour."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from gresque.formats import number, share, tight
from gresque.inspector.filters import CLASS, QUEUE
from gresque.inspector.metrics import Times
from gresque.inspector.snapshot import Snapshot
from gresque.store.metric_fields import Counts
from gresque.top.spans import Span
from gresque.top.state import Screenful
from gresque.top.table import Cells, Column
from gresque.top.views.view import Sort, View

BAD_SHARE = 0.05


@dataclass
class JobRow:
    """A class, over all queues from which it ran."""

    job: str
    queues: tuple[str, ...]
    counts: Counts
    seconds: float
    exceptions: dict[str, int]
    times: Times | None
    running: int | None

    @property
    def failed_share(self) -> float:
        return self.counts.failed_attempts / max(self.counts.attempts, 1)


class JobsView(View):
    name = "Jobs"
    columns = (
        Column("CLASS"),
        Column("DONE", 10, right=True),
        Column("FAILED", 8, right=True),
        Column("SHARE", 7, right=True),
        Column("MEDIAN", 8, right=True, from_width=70),
        Column("95 %", 8, right=True, from_width=70),
        Column("SPENT", 8, right=True, gap=1),
        Column("MOST FREQUENT ERROR", 20, from_width=110, grows=40),
    )
    filter_keys = (CLASS, QUEUE)
    sorts: ClassVar[tuple[Sort, ...]] = (
        ("the most time first", lambda r: (-r.seconds, -r.counts.attempts, r.job)),
        ("the most failures first", lambda r: (-r.counts.failed_attempts, r.job)),
        ("the most runs first", lambda r: (-r.counts.attempts, r.job)),
        ("by name", lambda r: r.job),
    )
    keys = (("F", "failed"),)
    enter = "its jobs"
    selects = False
    empty = "no job ended in the last hour"

    def count(self, screen: Screenful) -> Span | None:
        if screen.snapshot is None:
            return None
        return Span(number(len({pair.job for pair in screen.snapshot.trends.pairs})))

    def rows(self, screen: Screenful) -> Sequence[JobRow]:
        if screen.snapshot is None:
            return ()
        wanted = screen.here.wanted
        found = [
            row
            for row in job_rows(screen.snapshot)
            if any(
                wanted.matches(job_class=row.job, queue=queue, text=lambda row=row: row.job)  # type: ignore[misc]
                for queue in row.queues
            )
        ]
        return self.sorted(screen, found)

    def key(self, row: JobRow) -> Hashable:
        return "job", row.job

    def cells(self, row: JobRow, screen: Screenful) -> Cells:
        glyphs, counts = screen.glyphs, row.counts
        failed = counts.failed_attempts
        bad = "fail bold" if row.failed_share >= BAD_SHARE else "fail" if failed else "dim"
        error = next(iter(row.exceptions), "")
        return Cells(
            [
                [Span(glyphs.text(row.job))],
                number(counts.done),
                [Span(number(failed), bad)],
                [Span(share(failed, counts.attempts) if failed else "0", bad)],
                tight(row.times.p50) if row.times else glyphs.none,
                tight(row.times.p95) if row.times else glyphs.none,
                tight(row.seconds),
                [Span(glyphs.text(error), "dim")],
            ],
            Span(glyphs.selected, "accent bold") if self.key(row) in screen.selected else Span(""),
        )

    def note(self, screen: Screenful, rows: Sequence[JobRow]) -> str:
        return f"{number(len(rows))} classes in the last hour; {self.sort_name(screen)}"


def job_rows(snapshot: Snapshot) -> list[JobRow]:
    """What the metrics say of each class."""
    trends, jobs = snapshot.trends, snapshot.jobs
    found: dict[str, JobRow] = {}
    for pair in trends.pairs:
        row = found.get(pair.job)
        if row is None:
            running = jobs.by_class.get(pair.job, 0) if jobs is not None else None
            row = found[pair.job] = JobRow(
                pair.job, (), Counts(), 0.0, {}, trends.run_times.get(pair.job), running
            )
        row.queues = (*row.queues, pair.queue)
        row.counts = row.counts.plus(pair.counts)
        row.seconds += pair.seconds
        for name, count in pair.exceptions.items():
            row.exceptions[name] = row.exceptions.get(name, 0) + count
    return list(found.values())
