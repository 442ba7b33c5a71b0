"""What each key does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gresque.control.processes import Order
from gresque.errors import GresqueError
from gresque.inspector.failed_groups import FailedGroup
from gresque.inspector.filters import ANY, CLASS, HOST, QUEUE, of_terms, parse
from gresque.inspector.snapshot import ProcessRow, Published, QueueRow
from gresque.top.actions import Actions
from gresque.top.acts import Acts
from gresque.top.dialog import Dialog, help_dialog
from gresque.top.frame import follow, move_to, row_under_cursor, rows_of, table_room
from gresque.top.state import Stack
from gresque.top.views import RUNNING, VIEWS, WORKERS
from gresque.top.views.jobs import JobRow

if TYPE_CHECKING:
    from gresque.top.app import Top


class Keys:
    """Changes the screen by keys. Actions run in threads, so that it goes on meanwhile."""

    def __init__(self, top: Top, acts: Acts) -> None:
        self._top = top
        self._screen = top.screenful
        self.actions = Actions(top, acts)
        self._plain: dict[str, Callable[[], Any]] = {
            "j": lambda: self._move(1), "down": lambda: self._move(1),
            "k": lambda: self._move(-1), "up": lambda: self._move(-1),
            "pagedown": lambda: self._move(table_room(self._screen)),
            "pageup": lambda: self._move(-table_room(self._screen)),
            "space": lambda: self._move(table_room(self._screen)),
            "g": lambda: self._move(-(10**9)), "home": lambda: self._move(-(10**9)),
            "G": lambda: self._move(10**9), "end": lambda: self._move(10**9),
            "x": self._select, "X": self._select_all, "s": self._sort, "p": self._pause,
            "slash": self._edit, "question_mark": self._help, "exclamation_mark": self._bang,
            "enter": self._open, "escape": self._back, "q": self._quit, "ctrl+c": self._quit,
            "ctrl+q": self._quit,
            "K": self.actions.kill, "P": self.actions.pause_queue,
            "U": self.actions.unpause_queue, "L": self.actions.limit,
            "R": lambda: self._in_view("R"), "D": lambda: self._in_view("D"),
            "F": self.actions.show_failed,
        }  # fmt: skip

    async def press(self, key: str, character: str | None) -> None:
        screen = self._screen
        screen.message = ""
        if screen.dialog is not None:
            self._answer(screen.dialog, key, character)
        elif screen.editing is not None:
            self._type(key, character)
        elif screen.bang:
            screen.bang = False
            if character and character.isdecimal():
                await self.actions.act_on(int(character))
        elif character and character in "123456":
            self.actions.go(int(character) - 1)
        else:
            # Capital letters come by their character, other keys by their names.
            does = self._plain.get(character or "") or self._plain.get(key)
            found = does() if does is not None else None
            if found is not None:
                await found

    def paste(self, text: str) -> None:
        if self._screen.editing is not None:
            self._screen.editing += " ".join(text.split())

    # Dialogs and typing

    def _answer(self, dialog: Dialog, key: str, character: str | None) -> None:
        screen = self._screen
        if (
            key in ("escape", "ctrl+c")
            or (not dialog.is_typed and character in ("n", "q"))
            or not dialog.yes
        ):
            screen.dialog = None
        elif dialog.is_typed:
            if key == "enter" and dialog.is_right:
                self._do(dialog)
            elif key == "backspace":
                dialog.typed = dialog.typed[:-1]
            elif character and character.isdecimal() and len(dialog.typed) < 10:
                dialog.typed += character
        elif character == "y":
            self._do(dialog)

    def _do(self, dialog: Dialog) -> None:
        self._screen.dialog = None
        if dialog.act is not None:
            dialog.act(dialog.typed)

    def _edit(self) -> None:
        wanted = str(self._screen.here.wanted)
        self._screen.editing = f"{wanted} " if wanted else ""

    def _type(self, key: str, character: str | None) -> None:
        screen = self._screen
        typed = screen.editing or ""
        if key in ("escape", "ctrl+c"):
            screen.editing = None
        elif key == "enter":
            try:
                wanted = parse(typed, VIEWS[screen.view].filter_keys)
            except GresqueError as error:
                screen.message = str(error)
                return
            screen.editing = None
            here = screen.here
            here.wanted, here.cursor, here.top, here.key = wanted, 0, 0, None
        elif key == "backspace":
            screen.editing = typed[:-1]
        elif key == "ctrl+u":
            screen.editing = ""
        elif key == "ctrl+w":
            screen.editing = typed.rstrip().rpartition(" ")[0]
        elif character and character.isprintable():
            screen.editing = typed + character

    # Moving

    def _move(self, by: int) -> None:
        screen = self._screen
        if screen.stack is not None and abs(by) > 1:
            screen.stack.top = max(screen.stack.top + (by > 0) * 5 - (by < 0) * 5, 0)
            return
        rows = rows_of(screen)
        follow(screen, rows)
        move_to(screen, rows, screen.here.cursor + by)

    def _select(self) -> None:
        screen = self._screen
        row = row_under_cursor(screen)
        if row is None:
            return
        key = VIEWS[screen.view].key(row)
        if screen.selected.pop(key, None) is None:
            rows_of(screen)
            screen.selected[key] = row
        self._move(1)

    def _select_all(self) -> None:
        screen, view = self._screen, VIEWS[self._screen.view]
        screen.selected = {} if screen.selected else {view.key(r): r for r in rows_of(screen)}

    def _in_view(self, key: str) -> None:
        """R and D: retry and remove failed jobs; recycle and drain a process."""
        if self._screen.view == WORKERS:
            self.actions.order(Order.RECYCLE if key == "R" else Order.DRAIN)
        else:
            self.actions.failed("Retry" if key == "R" else "Remove")

    def _sort(self) -> None:
        here, sorts = self._screen.here, VIEWS[self._screen.view].sorts
        here.sort = (here.sort + 1) % max(len(sorts), 1)
        here.cursor, here.top, here.key = 0, 0, None

    def _pause(self) -> None:
        self._screen.is_paused = not self._screen.is_paused

    def _help(self) -> None:
        self._screen.dialog = help_dialog()

    def _bang(self) -> None:
        self._screen.bang = True

    def _quit(self) -> None:
        self._top.exit(0)

    def _back(self) -> None:
        """One step: out of the stack, the selection, the filter."""
        screen = self._screen
        if screen.stack is not None:
            screen.stack = None
        elif screen.selected:
            screen.selected.clear()
        else:
            screen.here.wanted = ANY

    async def _open(self) -> None:
        """The stack of a job; of another row the jobs that it means."""
        screen = self._screen
        row = row_under_cursor(screen)
        if isinstance(row, Published):
            await self.actions.toggle_stack(row)
        elif isinstance(row, QueueRow):
            self.actions.go(RUNNING, str(of_terms({QUEUE: row.name})))
        elif isinstance(row, JobRow):
            self.actions.go(RUNNING, str(of_terms({CLASS: row.job})))
        elif isinstance(row, ProcessRow):
            self.actions.go(RUNNING, str(of_terms({HOST: row.name})))
        elif isinstance(row, FailedGroup):
            frame = [f"at {row.key.frame}"] if row.key.frame else []
            screen.stack = Stack(f"{row.key.job_class}: {row.key.exception}", [row.error, *frame])
