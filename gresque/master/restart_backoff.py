"""Holding back forks while they come to nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable

from gresque.backoff import Backoff
from gresque.logs import fields
from gresque.master.child import Child
from gresque.master.exits import Exit
from gresque.processes.kind import Kind

log = logging.getLogger("gresque.master")

FIRST_BACKOFF_SECONDS = 2.0
LONGEST_BACKOFF_SECONDS = 30.0
QUICK_DEATH_SECONDS = 1.0
QUICK_DEATHS_ALLOWED = 10
"""This many processes may die within a second of their start, one after the other, before the next
one has to wait. A crash now and then costs nothing; a crash loop does not load the machine."""


class RestartBackoff:
    """When the next process may be forked: at once, except after boots that failed and after many
    quick deaths in a row."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self.until = 0.0
        """On the monotonic clock."""
        self._boots = Backoff(FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS)
        self._deaths = Backoff(FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS)
        self._quick_deaths = 0
        self.boots_fail = False
        """The last process did not come up."""

    def note_boot(self) -> None:
        """A process came to work."""
        self.boots_fail = False
        self._boots.reset()

    def note_failed_boot(self) -> None:
        self.boots_fail = True
        self._hold(self._boots.next_seconds())

    def note_good_end(self) -> None:
        self._quick_deaths = 0
        self._deaths.reset()

    def note_crash(self, age_seconds: float) -> None:
        """A process died this long after it had come to work."""
        if age_seconds >= QUICK_DEATH_SECONDS:
            self.note_good_end()
            return
        self._quick_deaths += 1
        if self._quick_deaths > QUICK_DEATHS_ALLOWED:
            self._hold(self._deaths.next_seconds())

    def _hold(self, seconds: float) -> None:
        self.until = time.monotonic() + seconds
        log.error(
            "the next %s is tried in %.1f s",
            self._kind,
            seconds,
            extra=fields("restart_delayed", kind=str(self._kind), seconds=seconds),
        )


class RestartBackoffs:
    """One for each kind that is restarted. A quarantine process shares that of the workers: what
    keeps these from working keeps that one as well."""

    def __init__(self, *, deaths_are_counted: bool) -> None:
        """`deaths_are_counted`: a job fails after some number of deaths, so that crashes in a
        quarantine come to an end by themselves."""
        self._deaths_are_counted = deaths_are_counted
        self._of = {
            kind: RestartBackoff(kind) for kind in (Kind.WORKER, Kind.STANDBY, Kind.MAINTENANCE)
        }

    def of(self, kind: Kind) -> RestartBackoff:
        return self._of[Kind.WORKER if kind is Kind.QUARANTINE else kind]

    def note_end(self, child: Child, end: Exit) -> None:
        backoff = self.of(child.kind)
        if end is Exit.LEFT:
            backoff.note_good_end()
        elif end is Exit.FAILED_BOOT:
            backoff.note_failed_boot()
        elif end is Exit.CRASHED:
            in_quarantine = child.kind is Kind.QUARANTINE and child.held
            if not (in_quarantine and self._deaths_are_counted):
                backoff.note_crash(child.seconds_at_work)

    def held_back(self, now: float) -> Collection[Kind]:
        """The kinds that are not to be forked now."""
        held = [kind for kind, backoff in self._of.items() if now < backoff.until]
        return [*held, Kind.QUARANTINE] if Kind.WORKER in held else held

    def deadlines(self) -> Iterable[float]:
        """When each of them is over, on the monotonic clock."""
        return (backoff.until for backoff in self._of.values())
