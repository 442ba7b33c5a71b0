"""A box over the frame: what an action would do, and the question. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rich.cells import set_cell_size

from gresque.formats import tight
from gresque.inspector.running import RunningJob
from gresque.processes.short_names import short_process
from gresque.text import counted
from gresque.top.spans import Glyphs, Line, Span, fit, fit_spans, width_of

MANY = 50
"""To kill more than these, their number has to be typed."""
WIDEST = 60
CLASSES = 3


@dataclass
class Dialog:
    """`yes` and `no` say what these keys do. With `wanted` the answer is typed; it is right when it
    is that text, or where that is empty a number of 1 or more. `act` is called with what was
    typed."""

    title: str
    lines: Sequence[str]
    act: Callable[[str], None] | None = None
    yes: str = ""
    no: str = "leave it"
    wanted: str | None = None
    typed: str = ""
    tone: str = "fail"

    @property
    def is_typed(self) -> bool:
        return self.wanted is not None

    @property
    def is_right(self) -> bool:
        if self.wanted:
            return self.typed.replace(",", "") == self.wanted
        return self.typed.isdecimal() and int(self.typed) > 0


def kill_dialog(jobs: Sequence[RunningJob], held: dict[str, int]) -> Dialog:
    """Whether to kill these jobs. `held` is how many jobs their processes hold."""
    processes = {job.process for job in jobs}
    others = sum(held.get(each, 0) for each in processes) - len(jobs)
    go_on = {0: "", 1: " 1 other job goes on."}.get(
        max(others, 0), f" The {others:,} others go on."
    )
    if len(jobs) == 1:
        (job,) = jobs
        age = "under 1 s" if job.seconds is None else tight(job.seconds)
        lines = [job.label, f"{short_process(job.process)}, for {age}", "",
                 f"It fails as DirtyExit.{go_on}"]  # fmt: skip
        return Dialog("Kill 1 job?", lines, yes="kill", no="let it run")
    classes = Counter(str(job.item.get("class")) for job in jobs)
    lines = [f"{count:,} {name}" for name, count in classes.most_common(CLASSES)]
    if len(classes) > CLASSES:
        lines.append(f"and {counted(len(classes) - CLASSES, 'more class', 'more classes')}")
    lines += [f"in {counted(len(processes), 'process', 'processes')}", "",
              f"They fail as DirtyExit.{go_on}"]  # fmt: skip
    found = Dialog(f"Kill {len(jobs):,} jobs?", lines, yes="kill", no="let them run")
    return replace(found, wanted=str(len(jobs))) if len(jobs) > MANY else found


def over(lines: Sequence[Line], dialog: Dialog, width: int, glyphs: Glyphs) -> list[Line]:
    """The frame with the box in its middle, and the rest dimmed."""
    inner = _inner(dialog, glyphs, width)
    wide = min(max(max((_width(line) for line in inner), default=0) + 4, 30), width - 2)
    tone = f"{dialog.tone} bold"
    corners = "╭╮╰╯─│" if glyphs.is_utf8 else "++++-|"
    box = [[Span(corners[0] + corners[4] * (wide - 2) + corners[1], tone)]]
    for line in [[], *inner, []]:
        body = fit_spans([Span(" "), *line], wide - 3, glyphs)
        box.append([Span(corners[5], tone), *body, Span(" "), Span(corners[5], tone)])
    box.append([Span(corners[2] + corners[4] * (wide - 2) + corners[3], tone)])
    first = max((len(lines) - len(box)) // 2, 0)
    left = (width - wide) // 2
    found = [Line([Span(span.text, "dim") for span in line.spans]) for line in lines]
    for position, spans in enumerate(box[: len(lines)], first):
        text = fit(found[position].text, width, glyphs)
        found[position] = Line(
            [
                Span(_until(text, left), "dim"),
                *spans,
                Span(_from(text, left + wide), "dim"),
            ],
            "raised",
        )
    return found


def _inner(dialog: Dialog, glyphs: Glyphs, width: int) -> list[list[Span]]:
    room = min(WIDEST, width - 8)
    found = [[Span(glyphs.text(dialog.title), "bold")], []]
    found += [[Span(fit(glyphs.text(t), room, glyphs).rstrip())] if t else [] for t in dialog.lines]
    if dialog.is_typed:
        word = dialog.wanted or "a number"
        found += [[], [Span(f"Type {word}: "), Span(dialog.typed + "_", "bold")], [],
                  [Span("Enter", "bold"), Span(f" {dialog.yes}     "),
                   Span("Esc", "bold"), Span(f" {dialog.no}")]]  # fmt: skip
    elif dialog.yes:
        found += [[], [Span("y", "bold"), Span(f" {dialog.yes}     "),
                       Span("n", "bold"), Span(f" {dialog.no}")]]  # fmt: skip
    return found


def _width(spans: Sequence[Span]) -> int:
    return sum(width_of(span.text) for span in spans) + 1


def _until(text: str, column: int) -> str:
    """What stands before this column."""
    return text[:column] if text.isascii() else set_cell_size(text, column)


def _from(text: str, column: int) -> str:
    """What stands from this column on."""
    if text.isascii():
        return text[column:]
    taken = 0
    for position, char in enumerate(text):
        if taken >= column:
            return " " * (taken - column) + text[position:]
        taken += width_of(char)
    return ""


HELP = (
    "1-6          the views",
    "j k  arrows  move; g G first and last, PgUp PgDn a page",
    "Enter        stack of a job; of another row its jobs",
    "/            filter, as >5s class:A queue:b host:c text",
    "x X          select a row, all rows; the order then stays",
    "s            sort by something else",
    "p            pause: the picture stays as it is",
    "!1 !2 !3     act on that line of the verdict",
    "K            kill the job, or the selected ones",
    "P U L        pause, unpause, limit the queue (view 2)",
    "R D          retry, remove failed jobs (view 3)",
    "P U D R      pause, continue, drain, recycle (view 5)",
    "Esc          back: dialog, stack, selection, filter",
    "q  Ctrl-C    quit",
)


def help_dialog() -> Dialog:
    return Dialog("Keys; capital letters act", HELP, tone="accent")
