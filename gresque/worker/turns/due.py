"""When the next turn is due, and what to wait for until then. Pure.

A turn is a trip to Redis, so it should settle much and reserve much. But a thread without a job,
and an end that is not settled, should wait for milliseconds only.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple


class Situation(NamedTuple):
    """The jobs that a process holds, and how it goes on."""

    held: int
    ended: int
    ready: int
    threads: int
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
    MORE_ENDS = "more ends, for 2 ms"
    ANYTHING = "a thread that lacks work, or enough ends"


def enough_ended(held: int, threads: int, capacity: int, *, heavy: bool) -> int:
    """How many ends make a turn worth it while jobs are ready still: half of the capacity where
    jobs are held in reserve, else all that are held. The failure entries of large jobs (`heavy`)
    leave one by one."""
    if heavy:
        return 1
    return capacity // 2 if capacity > threads else max(1, held)


def due(now: Situation, want: Callable[[], int], *, lingered: bool) -> bool:
    """Whether a turn is worth it: enough has ended, or threads lack work, or the process is over.

    After 2 ms of lingering for more (`lingered`) less than enough is worth it. `want()` is how many
    jobs the process could start; it is called only where that decides.
    """
    if now.is_urgent or (now.ready and now.gives_back) or (not now.held and now.is_over):
        return True
    if now.ended and (now.ended >= now.enough or lingered or not now.running):
        return not now.ready or now.ended >= now.enough
    if now.ready:
        return False
    wanted = want()
    return wanted >= min(worthwhile(now.threads), now.most) or (lingered and wanted > 0)


def worthwhile(threads: int) -> int:
    """An eighth of the threads without a job is worth a turn at once."""
    return -(-threads // 8)


def next_wait(now: Situation, want: Callable[[], int], *, lingered: bool) -> Wait:
    """The events to wait for while no turn is due."""
    if now.is_dry and not now.ended:
        return Wait.PUSH
    if now.ready:
        return Wait.THREADS
    if not lingered and (now.ended or want()):
        return Wait.MORE_ENDS
    return Wait.ANYTHING


def enough_while_lingering(held: int, threads: int) -> int:
    return max(1, min(held, threads // 8))
