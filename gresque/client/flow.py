"""Pausing and limiting queues from a program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Literal

from gresque.client.each_shard import EachShard
from gresque.errors import GresqueError

if TYPE_CHECKING:
    from gresque.shards import Placement
    from gresque.store.policies import PolicySnapshot, Rate


class Unchanged(Enum):
    """The default of an argument: the limit stays as it is. None removes the limit."""

    UNCHANGED = "unchanged"

    def __repr__(self) -> str:
        return "..."


Kept = Literal[Unchanged.UNCHANGED]
UNCHANGED: Kept = Unchanged.UNCHANGED


@dataclass(frozen=True)
class QueueLimits:
    """The policy of a queue, over all workers, and its current state."""

    queue: str
    paused: bool
    """The queue is paused by its name. A pause of all queues is in `info()["all_paused"]`."""
    concurrent: int | None
    """The most jobs of the queue that run at once."""
    in_flight: int
    """The number of jobs that count against the cap: those that were reserved since there is
    one."""
    rate: str | None
    """The number of jobs that may start in a given time, such as "100/m"."""
    burst: int | None
    """The number of jobs that may start at once after a rest."""
    starts_in_seconds: float
    """Seconds until the rate lets the next job start; 0 when it may start now."""
    unread: tuple[str, ...] = ()
    """Words of the policy that this version cannot read and ignores."""


def limits_of(found: PolicySnapshot) -> list[QueueLimits]:
    """The limits of each queue that has a policy or counted jobs, by name."""
    return [limits_of_queue(found, name) for name in sorted({*found.policies, *found.in_flight})]


def limits_of_queue(found: PolicySnapshot, queue: str) -> QueueLimits:
    policy = found.policy(queue)
    rate = policy.rate
    return QueueLimits(
        queue=queue,
        paused=policy.paused,
        concurrent=policy.cap,
        in_flight=found.in_flight.get(queue, 0),
        rate=None if rate is None else rate.text,
        burst=None if rate is None else rate.burst,
        starts_in_seconds=round(found.next_in(queue), 3),
        unread=policy.unread,
    )


def refuse_spread(
    placement: Placement | None, queue: str, cap: int | None, rate: Rate | None
) -> None:
    """Raises GresqueError for a limit of a queue whose jobs are on several shards: each would hold
    it for itself."""
    if cap is None and rate is None:
        return
    if placement is None or not placement.is_spread(queue):
        return
    count = len(placement.shards)
    each = (
        f"{cap} on each of {count} is {cap * count}"
        if cap is not None and cap > 0
        else (f"the limit holds on each of {count}")
    )
    what = "cap" if cap is not None else "rate"
    raise GresqueError(
        f"the jobs of queue {queue!r} are spread over {count} shards, so no {what} over all of "
        f"them can be kept: pin the queue to one shard (PINNED_QUEUES={queue}), or give it per "
        f"shard (--per-shard, per_shard=True: {each})"
    )


def add_limits(found: Sequence[list[QueueLimits]]) -> list[QueueLimits]:
    """The limits of all shards, by queue: what is in flight added up, the limits as the first shard
    has them that has one."""
    if len(found) == 1:
        return found[0]
    together: dict[str, QueueLimits] = {}
    for each in (limits for shard in found for limits in shard):
        known = together.get(each.queue)
        together[each.queue] = (
            each
            if known is None
            else replace(
                known,
                paused=known.paused or each.paused,
                concurrent=each.concurrent if known.concurrent is None else known.concurrent,
                in_flight=known.in_flight + each.in_flight,
                rate=each.rate if known.rate is None else known.rate,
                burst=each.burst if known.burst is None else known.burst,
                starts_in_seconds=max(known.starts_in_seconds, each.starts_in_seconds),
                unread=known.unread or each.unread,
            )
        )
    return sorted(together.values(), key=lambda limits: limits.queue)


class FlowControl(EachShard):
    """The part of `Client` that pauses and limits queues."""

    def pause(self, queue: str) -> bool:
        """Stop all workers from taking jobs of the queue; running jobs go on. The pause holds from
        the return of this call until `unpause`. Returns False when the queue was paused already."""
        from gresque.store.policies import checked_queue

        return any(self._each(lambda store: store.policies.pause(checked_queue(queue))))

    def unpause(self, queue: str) -> bool:
        """End the pause of the queue; idle workers take its jobs at once. Returns False when the
        queue was not paused."""
        from gresque.store.policies import checked_queue

        return any(self._each(lambda store: store.policies.unpause(checked_queue(queue))))

    def pause_all(self) -> bool:
        """Pause all queues, future ones included, also for Resque's Ruby workers. Returns False
        when they were paused already."""
        return any(self._each(lambda store: store.policies.pause_all()))

    def unpause_all(self) -> bool:
        """End the pause of all queues, whichever program has set it. A queue that is paused by name
        stays paused. Returns False when all queues were not paused."""
        return any(self._each(lambda store: store.policies.unpause_all()))

    def limit(
        self,
        queue: str,
        *,
        concurrent: int | Kept | None = UNCHANGED,
        rate: str | Kept | None = UNCHANGED,
        burst: int | None = None,
        per_shard: bool = False,
    ) -> None:
        """Limit the jobs of a queue, over all workers. None removes a limit; a limit that is left
        out stays as it is.

            gresque.limit("mail", concurrent=20)          # at most 20 at once
            gresque.limit("mail", rate="100/m", burst=10)
            gresque.limit("mail", concurrent=None, rate=None)

        Jobs that are in flight when the queue gets its first cap are not counted: the cap is exact
        once they have ended. A rate is N/s, N/m, N/h or N/30s. After a rest `burst` jobs start at
        once; the default is the number for a tenth of a second, and at least one.

        With several shards a queue whose jobs are on all of them has no limit over all workers. It
        is refused there; pin the queue to one shard (PINNED_QUEUES), or limit it on each of them,
        with `per_shard`.
        """
        from gresque.store import policies

        if concurrent is UNCHANGED and rate is UNCHANGED and burst is None:
            raise GresqueError("nothing to limit; give concurrent=, rate= or both")
        if burst is not None and (rate is UNCHANGED or rate is None):
            raise GresqueError('a burst belongs to a rate; give both, such as rate="100/m"')
        drop, cap, parsed = "", None, None
        if concurrent is None:
            drop += policies.CAP
        elif concurrent is not UNCHANGED:
            cap = policies.checked_cap(concurrent)
        if rate is None:
            drop += policies.RATE
        elif rate is not UNCHANGED:
            parsed = policies.Rate.parse(rate, burst)
        name = policies.checked_queue(queue)
        if not per_shard:
            refuse_spread(self._placement, name, cap, parsed)
        self._each(lambda store: store.policies.limit(name, cap=cap, rate=parsed, drop=drop))

    def limits(self) -> list[QueueLimits]:
        """The queues that are paused or limited, by name, with their current state."""
        return add_limits(self._each(lambda store: limits_of(store.policies.read())))
