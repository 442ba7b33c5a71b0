"""What is on the screen: the last snapshot, and where the user is."""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gresque.inspector.failed_groups import FailedGroup
from gresque.inspector.failed_index import IndexProgress
from gresque.inspector.filters import ANY, Filter
from gresque.inspector.recoveries import LoggedRecovery
from gresque.inspector.snapshot import Published, Snapshot
from gresque.top.dialog import Dialog
from gresque.top.spans import Glyphs

OUTCOME_SECONDS = 60.0
"""A row stays for this long with what became of its job."""

Place = tuple[str, str]


@dataclass(frozen=True)
class Known:
    """What a row of a running job shows. The next job in its slot has another `since`."""

    since: float
    label: str
    queue: str
    id: str | None


@dataclass
class Outcome:
    """What became of an action on a row, and until when it is shown. `job` is kept for a job that
    does not run any more."""

    text: str
    is_over: bool = False
    until: float = 0.0
    job: Published | None = None
    known: Known | None = None
    at: float | None = None
    """When it was over, by the server's clock: its age stays as it was then."""


@dataclass
class Position:
    """Where the user is in one view."""

    wanted: Filter = ANY
    sort: int = 0
    cursor: int = 0
    top: int = 0
    """The first row on the screen."""
    key: Hashable = None
    """Of the row under the cursor: it stays with its row."""


@dataclass
class Stack:
    """The lower half: what it is of, and its lines, None while they are asked for."""

    title: str
    lines: list[str] | None = None
    top: int = 0


@dataclass
class Screenful:
    """All that a frame is drawn from."""

    namespace: str
    glyphs: Glyphs = field(default_factory=Glyphs)
    width: int = 80
    height: int = 24
    snapshot: Snapshot | None = None
    trouble: str = ""
    """Why there is no snapshot at all."""
    clock: float = 0.0
    """Epoch seconds, for the time in the first line."""
    view: int = 0
    places: list[Position] = field(default_factory=lambda: [Position() for _ in range(6)])
    known: dict[Place, Known] = field(default_factory=dict)
    outcomes: dict[Hashable, Outcome] = field(default_factory=dict)
    selected: dict[Hashable, object] = field(default_factory=dict)
    """Rows of this view by key."""
    order: tuple[Hashable, ...] = ()
    """The keys of the rows, as they stood when the first one was selected."""
    in_order: tuple[Sequence[Any], Sequence[Any]] | None = None
    """The rows as they were found last, and the same ones in that order."""
    is_paused: bool = False
    editing: str | None = None
    """The filter as it is typed; None while it is not."""
    message: str = ""
    """In place of the keys, until the next key."""
    bang: bool = False
    """`!` was typed."""
    stack: Stack | None = None
    dialog: Dialog | None = None
    groups: list[FailedGroup] = field(default_factory=list)
    progress: IndexProgress | None = None
    recoveries: list[LoggedRecovery] = field(default_factory=list)

    @property
    def here(self) -> Position:
        return self.places[self.view]

    @property
    def is_frozen(self) -> bool:
        """The order of rows stays while rows are selected."""
        return bool(self.selected)

    def forget_old_outcomes(self) -> None:
        now = time.monotonic()
        for key in [key for key, each in self.outcomes.items() if each.until < now]:
            del self.outcomes[key]
