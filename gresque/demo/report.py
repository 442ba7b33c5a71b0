"""The output of the demo: progress while it runs, and the table at its end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

from gresque.demo.counting import Counts

PLAIN_LINE_SECONDS = 1.0


@dataclass(frozen=True)
class Report:
    """The figures of one run. Times are seconds."""

    files: int
    done: int
    failed: int
    seconds: float
    stored: dict[str, Counts]
    """The counts of the jobs, by file."""
    direct: dict[str, Counts]
    """The counts of the demo itself, from the files on disk."""
    sample_size: int
    one_at_a_time_seconds: float | None
    """Estimated from the sample; None when it could not be taken."""

    @property
    def is_right(self) -> bool:
        return self.done == self.files and not self.failed and self.stored == self.direct

    @property
    def fault(self) -> str:
        """Why it is not right, in one line."""
        if self.failed or self.done < self.files:
            return f"of {self.files:,} jobs {self.done:,} are done and {self.failed:,} failed"
        wrong = [name for name, found in self.direct.items() if self.stored.get(name) != found]
        return f"{len(wrong)} files were counted differently, such as {', '.join(wrong[:3])}"


class Meter:
    """A progress bar; without a terminal a plain line now and then."""

    def __init__(self, console: Console, what: str, total: int) -> None:
        self._console = console
        self._what = what
        self._total = total
        self._started = time.monotonic()
        self._next_line = self._started + PLAIN_LINE_SECONDS
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("[cyan]{task.fields[rate]:>6,.0f}/s[/]  {task.fields[seconds]:4.1f} s"),
            TextColumn("[dim]{task.fields[note]}[/]"),
            console=console,
            expand=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task(what, total=total, rate=0.0, seconds=0.0, note="")

    @contextmanager
    def shown(self) -> Iterator[Meter]:
        with self._progress:
            yield self

    def show(self, done: int, note: str = "") -> None:
        seconds = self.seconds
        rate = done / seconds
        self._progress.update(self._task, completed=done, rate=rate, seconds=seconds, note=note)
        if done >= self._total:
            self._progress.refresh()
        if not self._console.is_terminal and self._line_is_due(done):
            self._console.print(
                f"{self._what}: {done:,} of {self._total:,}, {rate:,.0f}/s, {seconds:.1f} s"
            )

    @property
    def seconds(self) -> float:
        """Since the meter was made."""
        return max(time.monotonic() - self._started, 1e-6)

    def _line_is_due(self, done: int) -> bool:
        now = time.monotonic()
        if now < self._next_line and done < self._total:
            return False
        self._next_line = now + PLAIN_LINE_SECONDS
        return True


def table(report: Report) -> Table:
    """The counts side by side, then what the run took."""
    grid = Table(title="What the jobs found", title_style="bold")
    grid.add_column("", style="bold")
    grid.add_column("by the jobs", justify="right", style="cyan")
    grid.add_column("direct count", justify="right")
    grid.add_column("")
    _add_counts(grid, report)
    grid.add_section()
    _add_run(grid, report)
    return grid


def _add_counts(grid: Table, report: Report) -> None:
    stored, direct = _total(report.stored), _total(report.direct)
    rows = {
        "files": (len(report.stored), len(report.direct)),
        "lines": (stored.lines, direct.lines),
        "functions": (stored.functions, direct.functions),
        "classes": (stored.classes, direct.classes),
        "not parseable": (stored.unparseable, direct.unparseable),
    }
    for name, (found, expected) in rows.items():
        kill_reason = "[green]equal[/]" if found == expected else "[bold red]differs[/]"
        grid.add_row(name, f"{found:,}", f"{expected:,}", kill_reason)


def _add_run(grid: Table, report: Report) -> None:
    failed = f"[bold red]{report.failed:,}[/]" if report.failed else "0"
    grid.add_row("jobs done", f"{report.done:,}", "", f"{failed} failed")
    grid.add_row("time", _duration(report.seconds), "", f"{report.done / report.seconds:,.0f}/s")
    alone = report.one_at_a_time_seconds
    if alone is not None:
        estimate = f"estimated from {report.sample_size} files"
        grid.add_row("one at a time", _duration(alone), "", estimate)
        grid.add_row("speed-up", f"{alone / report.seconds:,.1f} x", "", "")


def _total(counts: dict[str, Counts]) -> Counts:
    total = Counts()
    for one in counts.values():
        total = total.plus(one)
    return total


def _duration(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:.0f} min {rest:.0f} s" if minutes else f"{rest:.1f} s"
