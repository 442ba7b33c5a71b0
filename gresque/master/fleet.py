"""Which child is forked, called to work, or asked to leave. Pure: it does nothing itself.

The master asks at each turn of its loop and carries the actions out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from gresque.master.child import Child
from gresque.processes.kind import Kind
from gresque.settings import Settings

QUARANTINES = 4
"""QUARANTINE processes beside the WORKER_COUNT others: one that takes suspects, and those whose
suspects run for long."""

STANDBYS = 1
"""Where a process lives for few jobs, the next one comes up while this one works."""

STANDBYS_UP_TO = 10
"""JOBS_PER_FORK. Above it, the time of coming up is little beside that of the jobs."""

MAINTENANCE_END_SECONDS = 2.0
"""The maintenance process holds no jobs: one that does not end within this time is killed."""


class Fork(NamedTuple):
    """Fork a child of this kind."""

    kind: Kind


class Call(NamedTuple):
    """Let this standby work."""

    child: Child


class Quit(NamedTuple):
    """Let this child finish its jobs and leave."""

    child: Child


class Kill(NamedTuple):
    """This child was asked to leave and did not."""

    child: Child


Action = Fork | Call | Quit | Kill


class Sizes(NamedTuple):
    """How many children of each kind the settings want."""

    workers: int
    standbys: int
    overlap: bool
    """Whether the successor of a process may work while the last jobs of that one run. With one
    thread it may not, so that WORKER_COUNT jobs run at a time."""
    quarantine: bool
    """Whether suspects need a process of their own. With one thread every job is alone anyway."""
    maintenance: bool
    """A burst has no maintenance process."""

    @classmethod
    def of(cls, settings: Settings) -> Sizes:
        one_thread = settings.thread_count == 1
        short_lives = settings.jobs_per_fork <= STANDBYS_UP_TO
        return cls(
            workers=settings.worker_count,
            standbys=STANDBYS if one_thread and short_lives else 0,
            overlap=not one_thread,
            quarantine=not one_thread,
            maintenance=not settings.burst,
        )

    @property
    def most(self) -> int:
        """Children at one time. As many as work may retire, and one more is for a HUP."""
        return 2 * self.workers + 1 + self.standbys + QUARANTINES + self.maintenance


class Situation(NamedTuple):
    """All that the decision depends on beside the children."""

    now: float
    """On the monotonic clock."""
    stopping: bool = False
    dry: bool = False
    """In a burst: the last process that left found its queues empty."""
    has_booted: bool = False
    """Some process has come up since the master's start."""
    to_recover: bool = False
    """A dead process has left jobs that are still to be recovered."""
    suspects: bool = False
    """Suspects were seen since a quarantine process was last forked."""
    boots_fail: bool = False
    """The last worker process did not come up."""
    held_back: Collection[Kind] = ()
    """Kinds that are not forked for now, because they failed lately."""


def decide(children: Collection[Child], sizes: Sizes, situation: Situation) -> list[Action]:
    """The actions to take now, in this order."""
    if situation.stopping:
        return _end_maintenance(children, situation)
    plan = _Plan(children, sizes, situation)
    return [
        *plan.replace_at_once(),
        *plan.keep_workers(),
        *plan.quarantine_suspects(),
        *plan.roll(),
        *plan.keep_maintenance(),
    ]


def is_rolling(children: Collection[Child]) -> bool:
    """Whether a HUP has worker processes still to replace."""
    return any(_is_to_roll(child) for child in children)


def _is_to_roll(child: Child) -> bool:
    return child.outdated and child.kind is Kind.WORKER and child.taking_jobs


def _is_replaced_at_once(child: Child) -> bool:
    """After a HUP: a child of a kind of which another one is forked when it is needed."""
    if not child.outdated or child.quitting:
        return False
    return child.stands_by or child.kind in (Kind.QUARANTINE, Kind.MAINTENANCE)


def _end_maintenance(children: Collection[Child], situation: Situation) -> list[Action]:
    """It ends last: it watches over what the others leave."""
    if any(child.kind is not Kind.MAINTENANCE for child in children):
        return []
    quits: list[Action] = [Quit(child) for child in children if not child.quitting]
    return quits + _kill_overdue(children, situation)


def _kill_overdue(maintenance: Collection[Child], situation: Situation) -> list[Action]:
    deadline = situation.now - MAINTENANCE_END_SECONDS
    late = [c for c in maintenance if c.quit_at is not None and c.quit_at <= deadline]
    return [Kill(child) for child in late if not child.killed]


class _Plan:
    """The decision for one moment at which the master does not stop.

    With a job per fork it is made thousands of times a second, so it walks through the children few
    times.
    """

    def __init__(self, children: Collection[Child], sizes: Sizes, situation: Situation) -> None:
        self._sizes = sizes
        self._situation = situation
        self._to_recover = situation.to_recover
        self._workers: list[Child] = []
        """Those that take jobs, or stand by to take some."""
        self._quarantine: list[Child] = []
        self._maintenance: list[Child] = []
        lists = {Kind.QUARANTINE: self._quarantine, Kind.MAINTENANCE: self._maintenance}
        for child in children:
            lists.get(child.kind, self._workers).append(child)
        self._outdated = [child for child in children if child.outdated]
        self._to_roll = [child for child in self._outdated if _is_to_roll(child)]

    def replace_at_once(self) -> Iterable[Action]:
        return [Quit(child) for child in self._outdated if _is_replaced_at_once(child)]

    def keep_workers(self) -> Iterable[Action]:
        """Call or fork what is missing to WORKER_COUNT processes that take jobs."""
        sizes, situation, workers = self._sizes, self._situation, self._workers
        standbys = [c for c in workers if c.stands_by and not c.outdated]
        if situation.dry:
            return [Quit(child) for child in standbys]
        if Kind.WORKER in situation.held_back:
            return []
        wanted = sizes.workers + bool(self._to_roll)
        missing = wanted - sum(map(self._fills_a_place, workers))
        # As many again may retire; the one more of a HUP finds room all the same.
        room = sizes.workers + wanted + sizes.standbys - len(workers)
        actions: list[Action] = []
        blocked = situation.boots_fail and any(child.booted for child in standbys)
        if self._to_recover and missing > 0 and room > 0 and not blocked:
            # It recovers the jobs of the dead before it takes a job itself. Where boots fail, a
            # standby that came up may hold what others need for that, and is called first.
            actions.append(self._fork(Kind.WORKER))
            missing, room = missing - 1, room - 1
        standbys.sort(key=lambda child: not child.booted)
        called = standbys[: max(missing, 0)]
        actions += map(Call, called)
        forks = max(min(missing - len(called), room), 0)
        actions += [self._fork(Kind.WORKER) for _ in range(forks)]
        if situation.has_booted and Kind.STANDBY not in situation.held_back:
            waiting = len(standbys) - len(called)
            more = min(sizes.standbys - waiting, room - forks)
            actions += [self._fork(Kind.STANDBY) for _ in range(more)]
        return actions

    def _fills_a_place(self, child: Child) -> bool:
        """Whether no other process is to work in its place yet."""
        if child.taking_jobs:
            return True
        if child.kind is Kind.STANDBY or self._sizes.overlap:
            return False
        # Where no standby can take over, the one that left is waited for to its end.
        takes_over = self._sizes.standbys > 0 and Kind.STANDBY not in self._situation.held_back
        return not (takes_over and child.over)

    def quarantine_suspects(self) -> Iterable[Action]:
        """Fork a process for suspects; also for what a dead one held, when no other child is
        forked to recover that."""
        if not (self._situation.suspects or self._to_recover) or not self._sizes.quarantine:
            return []
        there = self._quarantine
        if len(there) == QUARANTINES or any(child.taking_jobs for child in there):
            return []
        held_back = Kind.QUARANTINE in self._situation.held_back
        return [] if held_back else [self._fork(Kind.QUARANTINE)]

    def roll(self) -> Iterable[Action]:
        """Replace the next process of a HUP once one more than WORKER_COUNT is at work."""
        if self._to_roll and sum(child.at_work for child in self._workers) > self._sizes.workers:
            return [Quit(self._to_roll[0])]
        return []

    def keep_maintenance(self) -> Iterable[Action]:
        """Keep one, from the time when some process works: it must not slow the first boots."""
        if self._maintenance:
            return _kill_overdue(self._maintenance, self._situation)
        situation = self._situation
        held_back = Kind.MAINTENANCE in situation.held_back
        is_time = self._sizes.maintenance and situation.has_booted and not held_back
        return [Fork(Kind.MAINTENANCE)] if is_time else []

    def _fork(self, kind: Kind) -> Fork:
        self._to_recover = False  # the next child that takes jobs recovers them
        return Fork(kind)
