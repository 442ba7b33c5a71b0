"""Which ticks of a schedule are to run now, and which one comes next. Pure.

A tick is a time of the schedule, in epoch milliseconds. It is due at once, or with jitter up to
that much later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import takewhile
from typing import NamedTuple, Protocol

CATCH_UP = ("one", "all", "skip")
MOST_AT_ONCE = 100
"""Missed ticks that `all` makes up at most: the last ones."""
GRACE_SECONDS = 15.0
"""A tick that is less late was not missed: when a host dies, another takes over in up to 6 s."""

_FIRST_WINDOW_MS = 60_000


class Schedule(Protocol):
    """A CronLine or an Every."""

    tz: str

    @property
    def text(self) -> str:
        """As people write it."""

    def next_after(self, ms: int) -> int | None:
        """The first tick after `ms`."""

    def after(self, ms: int) -> Iterator[int]:
        """All ticks after `ms`, in order."""


class Policy(NamedTuple):
    """What becomes of ticks that are late, and by how much each is delayed."""

    catch_up: str = "one"
    max_late_seconds: float | None = 3600.0
    jitter_seconds: float = 0


class DueTicks(NamedTuple):
    """What to do with the ticks up to now."""

    runs: tuple[int, ...]
    """The ticks to run, in order."""
    next: int | None
    """The first tick that is not due yet."""
    is_late: bool
    """Whether ticks were missed that do not run."""


def jitter(name: str, tick: int, seconds: float) -> int:
    """By how many milliseconds this tick of this entry is delayed: always the same, whichever
    process works it out."""
    if not seconds:
        return 0
    from hashlib import blake2b

    digest = blake2b(f"{name}\0{tick}".encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest) * int(seconds * 1000) >> 64


def due_ticks(name: str, schedule: Schedule, policy: Policy, first: int, now: int) -> DueTicks:
    """What to do at `now`, when `first` is the earliest tick that was not handled yet, and is due.

    - `one`: however many were missed, one job, for the last of them.
    - `all`: a job for each, 100 at most.
    - `skip`: none, but for one that is hardly late.

    A tick that is later than `max_late_seconds` does not run.
    """

    def due_at(tick: int) -> int:
        return tick + jitter(name, tick, policy.jitter_seconds)

    most = MOST_AT_ONCE if policy.catch_up == "all" else 1
    longest = policy.max_late_seconds
    if policy.catch_up == "skip":
        longest = GRACE_SECONDS if longest is None else min(longest, GRACE_SECONDS)
    found, has_more = _last_ticks(schedule, first, now, policy.jitter_seconds, most)
    due = [tick for tick in found if due_at(tick) <= now]
    runs = [tick for tick in due if longest is None or now - due_at(tick) <= longest * 1000]
    runs = runs[-most:]
    handled = due[-1] if due else first
    is_late = len(runs) < len(due) or has_more
    return DueTicks(tuple(runs), schedule.next_after(handled), is_late)


def _last_ticks(
    schedule: Schedule, first: int, until: int, jitter_seconds: float, most: int
) -> tuple[list[int], bool]:
    """The last ticks from `first` until `until`, those that are delayed beyond that and `most`
    others; and whether there are earlier ones.

    An entry for every second has 86,400 of them a day, so the search begins at the end.
    """
    window = _FIRST_WINDOW_MS + int(jitter_seconds * 1000)
    # One may be delayed: two that follow each other are further apart than the jitter.
    kept = most + 2
    while True:
        start = max(first, until - window)
        ticks = takewhile(lambda tick: tick <= until, schedule.after(start))
        # The first one counts as it was written, also where the entry was changed by hand since.
        found = deque([first, *ticks] if start == first else ticks, maxlen=kept)
        if start == first or len(found) == kept:
            return list(found), len(found) == kept and found[0] > first
        window *= 8
