"""The account of all children of a master: totals, jobs to recover, suspects, a dry burst."""

from __future__ import annotations

from collections.abc import Collection

from gresque.master.child import Child
from gresque.master.exits import Exit, describe_death, exit_before_boot
from gresque.processes.kind import Kind
from gresque.processes.spec import DeadProcess
from gresque.processes.state import ProcessState
from gresque.store.ledger import Totals


class Accounts:
    """Keeps account of the children over their lives; their ends may be noted in any order."""

    def __init__(self) -> None:
        self.to_recover: list[DeadProcess] = []
        """Dead processes whose jobs are still to be recovered, by the next child that takes
        jobs."""
        self.boots = 0
        """Processes that came to work, ever."""
        self.dry = False
        """In a burst: the last process that left found its queues empty."""
        self._gone = Totals()
        """Of the processes that are gone."""
        self._suspects_gone = 0
        self._suspects_answered = 0

    def totals(self, children: Collection[Child]) -> Totals:
        """The totals of all jobs so far. Those of a dead process are missing until the process
        that recovers them counts them."""
        rows = [child.row for child in children if child.row.state.may_have_registered]
        return sum((row.totals for row in rows), self._gone)

    def add(self, totals: Totals) -> None:
        """The master itself recovered these."""
        self._gone += totals

    # Suspects

    def has_new_suspects(self, children: Collection[Child]) -> bool:
        """Whether a process saw suspects since a quarantine process was last forked."""
        return self._suspects_seen(children) > self._suspects_answered

    def is_burst_over(self, *, quarantine: bool) -> bool:
        """When the last child is gone: whether nothing is left to do in a burst.

        Suspects are waited for where `quarantine` processes are forked. With one thread none is:
        the process that found its lists dry would have taken suspects as well.
        """
        return self.dry and not (quarantine and self.has_new_suspects(()))

    def answer_suspects(self, children: Collection[Child]) -> None:
        """A quarantine process is forked for those that were seen so far."""
        self._suspects_answered = self._suspects_seen(children)

    def _suspects_seen(self, children: Collection[Child]) -> int:
        return self._suspects_gone + sum(child.row.suspects_seen for child in children)

    # The end of a child

    def note_end(self, child: Child, status: int | None) -> Exit:
        """Account for a child that ended, and for what it left behind."""
        row, state = child.row, child.row.state
        self._suspects_gone += row.suspects_seen
        if not child.kind.takes_jobs:
            if child.quitting:
                return Exit.LEFT
            end = exit_before_boot(status)  # once it is up, it ignores these signals
            return end if end is Exit.ENDED_AT_START else Exit.CRASHED
        if not state.may_have_registered:
            self.to_recover += child.left_to_recover()
            self._gone += row.totals
            # It may have moved suspects, and died before it could report them.
            self._suspects_gone += bool(child.to_recover)
        if state.has_left:
            self._gone += row.totals
            self._note_dryness(child)
            return Exit.LEFT
        self.dry = False
        if state.may_have_registered:
            self.to_recover.append(child.dead_process(f"it {describe_death(status)}"))
        if not state.has_booted:
            return exit_before_boot(status)
        if state in (ProcessState.STRANDED, ProcessState.LEFT_HOLDING):
            return Exit.STARTS_AFRESH
        return Exit.CRASHED

    def _note_dryness(self, child: Child) -> None:
        """The queues may have jobs again when a process ends after the dry one, or when what a dead
        one held is still to be put back. A quarantine process does not look at what its jobs may
        have enqueued."""
        if child.kind is Kind.STANDBY:
            return
        found_none = child.row.state is ProcessState.LEFT_DRY
        self.dry = found_none and child.kind is not Kind.QUARANTINE and not self.to_recover
