"""What acts: kills, pauses, retries; each is confirmed first. And what opens another view."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gresque.control.processes import Order
from gresque.errors import GresqueError
from gresque.inspector.failed_groups import FailedGroup
from gresque.inspector.filters import CLASS, HOST, QUEUE, of_terms, parse
from gresque.inspector.running import RunningJob
from gresque.inspector.running_page import Matching
from gresque.inspector.snapshot import ProcessRow, Published, QueueRow
from gresque.inspector.verdict import Action
from gresque.processes.short_names import short_process
from gresque.text import counted
from gresque.top.acts import Acts
from gresque.top.dialog import Dialog, kill_dialog
from gresque.top.feed import known_of
from gresque.top.frame import row_under_cursor
from gresque.top.state import OUTCOME_SECONDS, Outcome, Stack
from gresque.top.views import FAILED, LEDGER, QUEUES, RUNNING, VIEWS, WORKERS
from gresque.top.views.jobs import JobRow
from gresque.top.views.running import known_job

if TYPE_CHECKING:
    from gresque.top.app import Top

FOREVER = float("inf")
PAGES = {
    "delayed": "gresque delayed", "cron": "gresque cron list", "redis": "redis-cli info",
    "retries": "gresque retries",
}  # fmt: skip
"""What to type where there is no view."""
ORDERS = {
    Order.PAUSE: "It takes no more jobs; what has not started goes back.",
    Order.CONTINUE: "It takes jobs again.",
    Order.DRAIN: "It takes no more jobs, and finishes those that run.",
    Order.RECYCLE: "It finishes its jobs and leaves; its master starts another one.",
}


class Actions:
    """Asks in a dialog, and then acts in a thread, so that the screen goes on meanwhile."""

    def __init__(self, top: Top, acts: Acts) -> None:
        self._top = top
        self._screen = top.screenful
        self._acts = acts

    def go(self, view: int, wanted: str | None = None) -> None:
        """Show a view, with this filter where one is given."""
        screen = self._screen
        screen.view = view
        screen.selected.clear()
        screen.stack = None
        if wanted is not None:
            here = screen.here
            here.cursor, here.top, here.key = 0, 0, None
            try:
                here.wanted = parse(wanted, VIEWS[view].filter_keys)
            except GresqueError as error:
                screen.message = str(error)

    async def toggle_stack(self, row: Published) -> None:
        screen = self._screen
        known = known_job(screen, row)
        title = f"{known.label if known else 'a job'} in {short_process(row.process)}"
        if screen.stack is not None and screen.stack.title == title:
            screen.stack = None
        elif known is None or known.id is None:
            screen.message = "this job has no id to ask for it by"
        else:
            self._ask_stack(title, known.id)

    def _ask_stack(self, title: str, job_id: str) -> None:
        stack = self._screen.stack = Stack(title)

        async def ask() -> None:
            try:
                stack.lines = await asyncio.to_thread(self._acts.stack, job_id)
            except GresqueError as error:
                stack.lines = [str(error)]
            self._top.redraw()

        self._top.go_on(ask)

    async def kill(self) -> None:
        screen = self._screen
        rows = [*screen.selected.values()] or [row_under_cursor(screen)]
        if screen.view == RUNNING:
            await self._ask_kill([row for row in rows if isinstance(row, Published)])
        elif screen.view == WORKERS:
            wanted = " ".join(
                str(of_terms({HOST: row.name})) for row in rows if isinstance(row, ProcessRow)
            )
            if wanted:
                await self._kill_all(wanted)

    async def _kill_all(self, wanted: str) -> None:
        """All jobs that a filter means, as they run now."""
        screen = self._screen
        self.go(RUNNING, wanted)
        snapshot = await asyncio.to_thread(self._top.feed.collector.last, jobs=True)
        screen.snapshot = snapshot
        await self._ask_kill([*Matching.of(snapshot, screen.here.wanted).jobs])

    async def _ask_kill(self, rows: Sequence[Published]) -> None:
        screen = self._screen
        snapshot = screen.snapshot
        if snapshot is None or not rows:
            return
        try:
            jobs = await asyncio.to_thread(self._top.feed.jobs, snapshot, rows)
        except GresqueError as error:
            screen.message = str(error)
            return
        if not jobs:
            screen.message = "it ended by itself" if len(rows) == 1 else "they ended by themselves"
            return
        held = {row.id: row.look.held for row in snapshot.processes}
        by_place = {row.place: row for row in rows}
        dialog = kill_dialog(jobs, held)
        dialog.act = lambda _: self._run_kill(jobs, by_place)
        screen.dialog = dialog

    def _run_kill(self, jobs: Sequence[RunningJob], rows: dict[tuple[str, str], Published]) -> None:
        screen = self._screen
        screen.selected.clear()
        for job in jobs:
            place = job.process, job.slot
            row = rows[place]
            screen.outcomes[place] = Outcome(
                "asked…", until=FOREVER, job=row, known=known_of(row, job)
            )

        async def kill() -> None:
            try:
                for ended in await asyncio.to_thread(self._acts.kill, jobs):
                    self._note(ended.place, ended.text, ended.is_over)
            except GresqueError as error:
                screen.message = str(error)
                for job in jobs:
                    self._note((job.process, job.slot), "not known", False)
            self._top.redraw()

        self._top.go_on(kill)

    def _note(self, key: Any, text: str, is_over: bool = True) -> None:
        found, snapshot = self._screen.outcomes.get(key), self._screen.snapshot
        self._screen.outcomes[key] = replace(
            found or Outcome(""),
            text=text,
            is_over=is_over,
            until=time.monotonic() + OUTCOME_SECONDS,
            at=snapshot.at + snapshot.age if is_over and snapshot is not None else None,
        )

    def _later(self, key: Any, act: Callable[[], str]) -> None:
        """Run an action in a thread; its outcome stands in the row with this key."""
        self._screen.outcomes[key] = Outcome("asked…", until=FOREVER)

        async def run() -> None:
            try:
                self._note(key, await asyncio.to_thread(act))
            except GresqueError as error:
                self._screen.message = str(error)
                self._screen.outcomes.pop(key, None)
            self._top.redraw()

        self._top.go_on(run)

    def _queue(self) -> str | None:
        row = row_under_cursor(self._screen)
        return row.name if isinstance(row, QueueRow) else None

    def order(self, what: Order) -> None:
        """Of the process under the cursor."""
        row = row_under_cursor(self._screen)
        if self._screen.view != WORKERS or not isinstance(row, ProcessRow):
            return
        verb = what.value.capitalize()
        held = counted(row.look.held, "job")
        self._screen.dialog = Dialog(
            f"{verb} {row.name}?", [f"It holds {held}.", ORDERS[what]], yes=what.value,
            act=lambda _: self._later(
                VIEWS[WORKERS].key(row), lambda: self._acts.order(what, row.id)
            ),
            tone="warn",
        )  # fmt: skip

    def pause_queue(self, queue: str | None = None) -> None:
        if self._screen.view == WORKERS:
            self.order(Order.PAUSE)
            return
        queue = queue or self._queue()
        if queue is None:
            return
        snapshot = self._screen.snapshot
        row = snapshot.queue(queue) if snapshot else None
        waiting = f"{counted(row.waiting, 'job')} wait in it." if row else ""
        self._ask_queue(
            "Pause", queue, [waiting, "Jobs of it that run go on; no further one starts."],
            lambda: self._acts.pause(queue),
        )  # fmt: skip

    def unpause_queue(self, queue: str | None = None) -> None:
        if self._screen.view == WORKERS:
            self.order(Order.CONTINUE)
            return
        queue = self._queue() if queue is None else queue
        if queue is not None:
            name = queue or "all queues"
            self._ask_queue(
                "Unpause", queue, [f"Workers take jobs of {name} again."],
                lambda: self._acts.unpause(queue),
            )  # fmt: skip

    def _ask_queue(
        self, verb: str, queue: str, lines: Sequence[str], act: Callable[[], str]
    ) -> None:
        self._screen.dialog = Dialog(
            f"{verb} {queue or 'all queues'}?", lines, yes=verb.lower(), tone="warn",
            act=lambda _: self._later(("queue", queue), act),
        )  # fmt: skip

    def limit(self, queue: str | None = None) -> None:
        queue = queue or self._queue()
        if queue is None:
            return
        snapshot = self._screen.snapshot
        row = snapshot.queue(queue) if snapshot else None
        now = row.policy_text if row and row.policy_text else "no limits"
        self._screen.dialog = Dialog(
            f"Limit {queue}", [f"Now: {now}.", "How many of its jobs may run at once?"],
            yes="limit", wanted="", tone="warn",
            act=lambda typed: self._later(
                ("queue", queue), lambda: self._acts.limit(queue, int(typed))
            ),
        )  # fmt: skip

    def failed(self, verb: str) -> None:
        screen = self._screen
        if screen.view != FAILED:
            return
        rows = [*screen.selected.values()] or [row_under_cursor(screen)]
        groups = [row for row in rows if isinstance(row, FailedGroup)]
        if not groups:
            return
        retry = verb == "Retry"
        count = sum(group.waiting if retry else group.count for group in groups)
        lines = [f"{g.count:,} {g.key.job_class}: {g.key.exception}" for g in groups[:5]]
        lines += [f"and {len(groups) - 5:,} more groups"] if len(groups) > 5 else []
        lines += ["", "They are put back into their queues." if retry else "They are lost."]
        screen.dialog = Dialog(
            f"{verb} {counted(count, 'failed job')}?", lines, yes=verb.lower(),
            wanted=str(count) if count > 50 and not retry else None,
            act=lambda _: self._run_failed(groups, retry),
        )  # fmt: skip

    def _run_failed(self, groups: Sequence[FailedGroup], retry: bool) -> None:
        self._screen.selected.clear()
        act = self._acts.retry if retry else self._acts.remove
        for group in groups:
            self._later(("failed", group.key), lambda group=group: act(group))  # type: ignore[misc]

    def show_failed(self) -> None:
        row = row_under_cursor(self._screen)
        if isinstance(row, JobRow):
            self.go(FAILED, str(of_terms({CLASS: row.job})))

    # The verdict

    async def act_on(self, number: int) -> None:
        """The first action of a line of the verdict."""
        snapshot = self._screen.snapshot
        lines = snapshot.verdict.lines if snapshot is not None else ()
        if 1 <= number <= len(lines) and lines[number - 1].actions:
            await self._act(lines[number - 1].actions[0])

    async def _act(self, action: Action) -> None:
        verb, target = action.verb, action.target
        if verb == "kill":
            await self._kill_by_id(target)
        elif verb == "kill_all":
            await self._kill_all(target)
        elif verb == "running":
            self.go(RUNNING, target)
        elif verb == "failed":
            self.go(FAILED, target)
        elif verb == "queue":
            self.go(QUEUES, str(of_terms({QUEUE: target})))
        elif verb == "workers":
            self.go(WORKERS, str(of_terms({HOST: short_process(target)})) if target else "")
        elif verb == "ledger":
            self.go(LEDGER)
        elif verb in ("pause", "unpause", "limit"):
            self.go(QUEUES, "")
            {"pause": self.pause_queue, "unpause": self.unpause_queue, "limit": self.limit}[verb](
                target
            )
        else:
            self._screen.message = f"see {PAGES.get(verb, verb)}"

    async def _kill_by_id(self, job_id: str) -> None:
        """A job of the verdict is among those that block others."""
        snapshot = self._screen.snapshot
        assert snapshot is not None
        blocking = snapshot.running.blocking
        with suppress(GresqueError):
            jobs = await asyncio.to_thread(self._top.feed.jobs, snapshot, blocking)
            places = {(j.process, j.slot) for j in jobs if str(j.item.get("id")) == job_id}
            rows = [row for row in blocking if row.place in places]
            if rows:
                self.go(RUNNING)
                await self._ask_kill(rows)
                return
        self._screen.message = "it ended by itself"
