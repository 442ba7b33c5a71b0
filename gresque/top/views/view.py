"""What the views have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import Any, ClassVar

from gresque.inspector.filters import ALL
from gresque.top.spans import Span
from gresque.top.state import Screenful
from gresque.top.table import Cells, Column

Sort = tuple[str, Callable[[Any], Any]]
"""Its name, and the key by which rows are sorted."""


class View(ABC):
    """A table. Rows may be thousands: `cells` is asked only for those on the screen."""

    name: ClassVar[str]
    columns: ClassVar[tuple[Column, ...]]
    filter_keys: ClassVar[tuple[str, ...]] = ALL
    sorts: ClassVar[tuple[Sort, ...]] = ()
    keys: ClassVar[tuple[tuple[str, str], ...]] = ()
    """What acts on a row, beside the keys of all views: the key and a word."""
    enter: ClassVar[str] = "open"
    """What Enter does with a row."""
    selects: ClassVar[bool] = True
    empty = "nothing here"

    def count(self, screen: Screenful) -> Span | None:
        """The number beside its name."""
        return None

    @abstractmethod
    def rows(self, screen: Screenful) -> Sequence[Any]:
        """In their order, as the filter and the sort of the screen want it."""

    @abstractmethod
    def key(self, row: Any) -> Hashable:
        """By which a row is found again in the next snapshot."""

    @abstractmethod
    def cells(self, row: Any, screen: Screenful) -> Cells:
        """What the row shows, in the order of `columns`."""

    def note(self, screen: Screenful, rows: Sequence[Any]) -> str:
        """What the rows are, beside the filter."""
        return f"{len(rows):,}"

    def sorted(self, screen: Screenful, rows: Sequence[Any]) -> Sequence[Any]:
        if not self.sorts:
            return rows
        _, by = self.sorts[screen.here.sort % len(self.sorts)]
        return sorted(rows, key=by)

    def sort_name(self, screen: Screenful) -> str:
        return self.sorts[screen.here.sort % len(self.sorts)][0] if self.sorts else ""
