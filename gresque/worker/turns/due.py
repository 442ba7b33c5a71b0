"""When the next turn is due, and what to wait for until then. Pure.

A turn is a trip to Redis, so it should settle much and reserve much. But a thread without a job,
and an end that is not settled, should wait for milliseconds only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

LINGER_SECONDS = 0.002
LONGEST_LINGER_SECONDS = 0.010
SHORT_TRIP_SECONDS = 0.001
"""A server that answers within this time has nothing to gain from fewer turns."""
TRIPS_TO_LINGER = 2.5
"""Where a trip takes longer, more ends are gathered for as long as this number of trips."""
LONGEST_BY_TRIP_SECONDS = 0.050
SHARE_OF_A_JOB = 1 / 20
"""And no longer than this part of what a job takes: a thread that lacks work meanwhile loses as
much of its time at most."""


class Situation(NamedTuple):
    """The jobs that a process holds, and how it goes on."""

    held: int
    ended: int
    ready: int
    worthwhile: int
    """It is worth a turn to start this many jobs (see `worthwhile`)."""
    enough: int
    """This many ends are worth a turn by themselves (see `enough_ended`)."""
    most: int
    """How many jobs one turn may reserve at most: by the size of a batch, and by the quota."""
    gives_back: bool
    """The jobs that no thread has taken go back to their queues."""
    is_over: bool
    """The process leaves as soon as it holds nothing."""
    is_urgent: bool
    """A turn has to be made, even with nothing to settle or to reserve."""
    is_dry: bool
    """The queues were empty."""

    @property
    def running(self) -> int:
        return self.held - self.ended - self.ready


class Wait(Enum):
    """The events that end the wait before the next check; a signal ends every wait."""

    PUSH = "a push to one of the queues"
    THREADS = "a thread that takes a job, or ends one"
    MORE_ENDS = "more ends, for 2 ms or longer"
    ANYTHING = "a thread that lacks work, or enough ends"


class Pace(NamedTuple):
    """What a process has measured of its jobs and of its turns (see `BatchSize`)."""

    jobs_per_second: float
    trip_seconds: float
    turn_cpu_seconds: float
    reserve: int
    """How many jobs it may hold beside those that run."""
    quickest_trip_seconds: float = 0.0
    """Of the last few: the others may have waited for the CPU of this machine."""


def enough_ended(now: Situation, pace: Pace, *, heavy: bool) -> int:
    """How many ends make a turn worth it. The failure entries of large jobs (`heavy`) leave one by
    one.

    A turn costs the same whatever it carries. So it waits until the reserve is used up but for what
    starts while it is on its way. From then on a thread lacks work for each job that ends. What
    they lose, as a share of the jobs that run, and what turns cost, as a share of the CPU, are
    together the least where n² = r² + 2·c·j·k: n jobs end between two turns, r of them from the
    reserve; a turn costs c seconds of CPU; j jobs run, k end in a second.
    """
    if heavy:
        return 1
    if not pace.reserve:
        return max(1, now.held)
    rate = pace.jobs_per_second
    meanwhile = min(int(rate * pace.trip_seconds), pace.reserve // 2)
    spare = max(now.ended + now.ready - meanwhile, 0)
    enough = math.sqrt(spare**2 + 2 * pace.turn_cpu_seconds * now.running * rate)
    return max(1, min(int(enough), now.held, now.most))


def enough_while_lingering(now: Situation) -> int:
    """The same once nothing is ready any more."""
    return max(1, min(now.enough, now.held, now.worthwhile))


def linger_seconds(now: Situation, pace: Pace) -> float:
    """How long more ends are gathered before a turn, while threads lack work: by the pace of the
    jobs until there are enough of them.

    Where they come one by one nothing is gained by waiting, but for a server that is far away or
    busy.
    """
    least = linger_for_server(now, pace)
    if now.is_dry or not pace.reserve:
        return least
    seconds = (now.enough - now.ended) / pace.jobs_per_second
    return min(max(seconds, least), max(LONGEST_LINGER_SECONDS, least))


def linger_for_server(now: Situation, pace: Pace) -> float:
    """2 ms, and up to 50 ms where a trip takes longer than 1 ms: turns get fewer and larger, which
    cost a server the same whatever they carry."""
    trip = pace.quickest_trip_seconds
    if trip <= SHORT_TRIP_SECONDS:
        return LINGER_SECONDS
    seconds = min(TRIPS_TO_LINGER * trip, LONGEST_BY_TRIP_SECONDS)
    if pace.jobs_per_second:
        seconds = min(seconds, SHARE_OF_A_JOB * now.running / pace.jobs_per_second)
    return max(seconds, LINGER_SECONDS)


def due(now: Situation, want: Callable[[], int], *, lingered: bool) -> bool:
    """Whether a turn is worth it: enough has ended, or threads lack work, or the process is over.

    After lingering for more (`lingered`) less than enough is worth it. `want()` is how many
    jobs the process could start; it is called only where that decides.
    """
    if now.is_urgent or (now.ready and now.gives_back) or (not now.held and now.is_over):
        return True
    if now.ended and (now.ended >= now.enough or lingered or not now.running):
        return not now.ready or now.ended >= now.enough
    if now.ready:
        return False
    wanted = want()
    return wanted >= min(now.worthwhile, now.most) or (lingered and wanted > 0)


def worthwhile(threads: int, reserve: int) -> int:
    """An eighth of the threads without a job is worth a turn at once."""
    return -(-threads // 8) + reserve


def next_wait(now: Situation, want: Callable[[], int], *, lingered: bool) -> Wait:
    """The events to wait for while no turn is due."""
    if now.ready:
        return Wait.THREADS
    if now.is_dry and not now.ended:
        return Wait.PUSH
    if not lingered and (now.ended or want()):
        return Wait.MORE_ENDS
    return Wait.ANYTHING
