"""The screen of `gresque top` in a terminal, by Textual."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, ClassVar

from rich.segment import Segment
from textual import events
from textual.app import App, ComposeResult
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from gresque.inspector.running_page import needs_jobs
from gresque.top.acts import Acts
from gresque.top.dialog import over
from gresque.top.feed import Feed
from gresque.top.frame import draw, shown
from gresque.top.keys import Keys
from gresque.top.palette import style
from gresque.top.spans import Line
from gresque.top.state import Screenful
from gresque.top.views import FAILED, JOBS, LEDGER, QUEUES, RUNNING
from gresque.top.views.running import known_job

RESTORED_BY = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Picture(Widget, can_focus=True):
    """Lines of the whole screen; only those that changed are drawn again."""

    DEFAULT_CSS = "Picture { width: 100%; height: 100%; background: transparent; }"

    def __init__(self) -> None:
        super().__init__()
        self._strips: list[Strip] = []

    def show(self, lines: Sequence[Line], palette: str) -> None:
        before = self._strips
        self._strips = [_strip(line, palette) for line in lines]
        if len(before) != len(self._strips):
            self.refresh()
            return
        changed = [
            Region(0, y, self.size.width, 1)
            for y, (old, new) in enumerate(zip(before, self._strips, strict=True))
            if old != new
        ]
        if changed:
            self.refresh(*changed)

    def render_line(self, y: int) -> Strip:
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width)


def _strip(line: Line, palette: str) -> Strip:
    return Strip(
        [Segment(span.text, style(palette, span.tone, line.ground)) for span in line.spans]
    )


class Top(App[int]):
    """It ends with `q` and Ctrl-C, and with SIGTERM, SIGINT and SIGHUP; the terminal is then as
    it was before. Its return code is that of the program."""

    ENABLE_COMMAND_PALETTE = False
    CSS = "Screen { background: transparent; }"
    BINDINGS: ClassVar = []

    def __init__(self, feed: Feed, acts: Acts, screenful: Screenful, palette: str) -> None:
        super().__init__(ansi_color=palette != "full")
        self.feed = feed
        self.screenful = screenful
        self._palette = palette
        self._picture = Picture()
        self._keys = Keys(self, acts)
        self._number = 0

    def compose(self) -> ComposeResult:
        yield self._picture

    def on_mount(self) -> None:
        self._picture.focus()
        loop = asyncio.get_running_loop()
        for number in RESTORED_BY:
            loop.add_signal_handler(number, self.exit, 128 + number)
        self._take_size(self.size)
        self.redraw()
        self.go_on(self._follow)

    def on_resize(self, event: events.Resize) -> None:
        self._take_size(event.size)
        self.redraw()

    def _take_size(self, size: Size) -> None:
        self.screenful.width, self.screenful.height = max(size.width, 20), max(size.height, 8)

    async def on_event(self, event: events.Event) -> None:
        """Every key is ours, those included by which Textual moves the focus or asks to quit."""
        if isinstance(event, events.Key):
            await self._keys.press(event.key, event.character)
            self.redraw()
            self.fill_soon()
        elif isinstance(event, events.Paste):
            self._keys.paste(event.text)
            self.redraw()
        else:
            await super().on_event(event)

    # What is shown

    def redraw(self) -> None:
        """Draw what the screen is now."""
        screen = self.screenful
        screen.clock = time.time()
        screen.forget_old_outcomes()
        lines = draw(screen)
        if screen.dialog is not None:
            lines = over(lines, screen.dialog, screen.width, screen.glyphs)
        self._picture.show(lines, self._palette)

    async def _follow(self) -> None:
        while True:
            screen = self.screenful
            found = await asyncio.to_thread(
                self.feed.next, self._number, jobs=self._wants_jobs(), waits=screen.view == RUNNING
            )
            if found is not None:
                self._number = found.number
                if not screen.is_paused or screen.snapshot is None:
                    screen.snapshot = found
            screen.trouble = self.feed.trouble
            self.redraw()
            self.fill_soon()

    def _wants_jobs(self) -> bool:
        """Reading all jobs in flight costs most, so only where the screen needs them."""
        screen = self.screenful
        return screen.view in (QUEUES, JOBS) or (
            screen.view == RUNNING and needs_jobs(screen.here.wanted)
        )

    def go_on(
        self, does: Callable[[], Coroutine[None, None, None]], *, group: str = "default",
        exclusive: bool = False,
    ) -> None:  # fmt: skip
        """Run something beside the keys; with `exclusive` in place of what its group runs."""
        work: Any = does  # Textual's own types ask for a coroutine that does not return
        self.run_worker(work, group=group, exclusive=exclusive)

    def fill_soon(self) -> None:
        self.go_on(self._fill_and_redraw, group="fill", exclusive=True)

    async def _fill_and_redraw(self) -> None:
        if await self._fill():
            self.redraw()

    async def _fill(self) -> bool:
        """Read what the rows on the screen need. False where nothing was missing."""
        screen = self.screenful
        if screen.snapshot is None or screen.snapshot.is_stale:
            return False
        if screen.view == FAILED:
            screen.groups, screen.progress = await asyncio.to_thread(self.feed.groups)
            return True
        if screen.view == LEDGER:
            screen.recoveries = await asyncio.to_thread(self.feed.recoveries)
            return True
        snapshot = screen.snapshot
        if snapshot is not None and snapshot.jobs is None and self._wants_jobs():
            snapshot = screen.snapshot = await asyncio.to_thread(self.feed.with_jobs, snapshot)
        if screen.view != RUNNING or snapshot is None or snapshot.trouble is not None:
            return False
        rows = shown(screen)
        missing = [row for row in rows if known_job(screen, row) is None]
        if not missing:
            return False
        found = await asyncio.to_thread(self.feed.known, snapshot, missing)
        there = {each.place for each in rows}
        screen.known = {place: each for place, each in screen.known.items() if place in there}
        screen.known |= found
        return True

    def text(self) -> list[str]:
        """The lines as they are on the screen."""
        return [strip.text for strip in self._picture._strips]


def palette_of(color_system: str | None, no_color: bool) -> str:
    """The palette for what a terminal can show, as rich names it: None, `standard`, `256` or
    `truecolor`; `no_color` where the user wants none."""
    if no_color or color_system is None:
        return "none"
    return "sixteen" if color_system == "standard" else "full"
