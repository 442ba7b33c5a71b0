"""The verdict: what is wrong, the worst first, each in a sentence with its cause and an action.

It is made of the findings that `gresque status` prints, and of what only a series of snapshots
shows. Pages and `gresque top` open with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

MOST_LINES = 6


class Severity(Enum):
    """How bad a line is. `mark` goes with a colour and a word, `plain` is it in ASCII."""

    STOPPED = "✕", "x", "fail"
    """Jobs stand still, or are in danger."""
    SILENT = "◌", "o", "warn"
    """Nobody knows how jobs are."""
    FAILING = "▲", "^", "fail"
    """Jobs fail."""
    LATE = "◆", "*", "warn"
    """Jobs wait too long."""

    def __init__(self, mark: str, plain: str, tone: str) -> None:
        self.mark = mark
        self.plain = plain
        self.tone = tone
        """Of the colours of the pages: `fail` or `warn`."""


@dataclass(frozen=True)
class Action:
    """What to do about it. `verb` and `target` are one of

    - `kill`, `stack`: the id of a running job
    - `kill_all`, `running`: a filter of running jobs, to kill them all or to look at them
    - `failed`, `retries`: a filter
    - `pause`, `unpause`, `limit`, `queue`: a queue; for `unpause` an empty one means all
    - `workers`: a process, a host or nothing
    - `ledger`, `delayed`, `cron`, `redis`: pages, without a target

    `label` is the word of a button.
    """

    verb: str
    target: str
    label: str


@dataclass(frozen=True)
class Line:
    """One thing that is wrong. `kind` names its rule. `title` is it in a few words; `sentence` says
    it in full; `subject` and `text` say the same in one line of a terminal; `cause` is empty where
    it is not known. The first of the actions is the one to offer where there is room for one.
    `shard` is where, among several; empty where there is one."""

    kind: str
    severity: Severity
    title: str
    subject: str
    text: str
    sentence: str
    cause: str
    actions: tuple[Action, ...]
    shard: str = ""


@dataclass(frozen=True)
class Verdict:
    """`lines` are at most six of them; `more` others are left out. `calm` is the sentence for a
    page where all is well, empty where something is wrong."""

    lines: tuple[Line, ...] = ()
    more: int = 0
    calm: str = ""

    @property
    def count(self) -> int:
        return len(self.lines) + self.more

    def with_first(self, line: Line) -> Verdict:
        """With this line before all others, and without an earlier one of its kind."""
        others = [each for each in self.lines if each.kind != line.kind]
        kept = (line, *others)[:MOST_LINES]
        return Verdict(kept, self.more + len(others) + 1 - len(kept))

    @property
    def heading(self) -> str:
        """`4 things are wrong`, `1 thing is wrong`, `All is well`."""
        if not self.count:
            return "All is well"
        return f"{self.count:,} {'thing is' if self.count == 1 else 'things are'} wrong"


def verdict_of(lines: list[Line], calm: str) -> Verdict:
    """`lines` in any order of severity; of one severity they stay as they are."""
    order = [*Severity]
    found = sorted(lines, key=lambda line: order.index(line.severity))
    return Verdict(
        tuple(found[:MOST_LINES]), max(len(found) - MOST_LINES, 0), "" if found else calm
    )
