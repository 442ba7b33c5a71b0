"""What a client does with the policies of queues: pause, caps, rates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Literal

from gresque.errors import GresqueError

if TYPE_CHECKING:
    from gresque.store.policies import PolicySnapshot
    from gresque.store.store import Store


class Unchanged(Enum):
    """The default of an argument that leaves a thing as it is, where None takes it away."""

    UNCHANGED = "unchanged"

    def __repr__(self) -> str:
        return "..."


Kept = Literal[Unchanged.UNCHANGED]
UNCHANGED: Kept = Unchanged.UNCHANGED


@dataclass(frozen=True)
class QueueLimits:
    """The policy of a queue, over all workers, and how it stands."""

    queue: str
    paused: bool
    """By itself; `info()["all_paused"]` tells of all queues."""
    concurrent: int | None
    """How many of its jobs run at once, at most."""
    in_flight: int
    """How many of its jobs are counted: those that were reserved since it has a cap."""
    rate: str | None
    """How many of its jobs start in a time, such as "100/m"."""
    burst: int | None
    """How many start at once after a rest."""
    starts_in_seconds: float
    """For how long the rate starts no job; 0 when it may start one now."""
    unread: tuple[str, ...] = ()
    """Words of the policy that this version cannot read, and passes over."""


def limits_of(found: PolicySnapshot) -> list[QueueLimits]:
    """Of each queue that has a policy, or jobs that are counted, by name."""
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


class FlowControl(ABC):
    """The part of `Client` about how the jobs of queues are let through."""

    @abstractmethod
    def _asking(self) -> AbstractContextManager[Store]:
        """The store, while a method uses it."""

    def pause(self, queue: str) -> bool:
        """Let no worker take more jobs of the queue; those that run go on. It holds when this
        returns, until `unpause`. False when the queue was paused already."""
        from gresque.store.policies import checked_queue

        with self._asking() as store:
            return store.policies.pause(checked_queue(queue))

    def unpause(self, queue: str) -> bool:
        """End the pause of the queue; idle workers go on at once. False when it was not paused."""
        from gresque.store.policies import checked_queue

        with self._asking() as store:
            return store.policies.unpause(checked_queue(queue))

    def pause_all(self) -> bool:
        """Pause all queues, those to come included, and Resque's Ruby workers with them. False when
        they were paused already."""
        with self._asking() as store:
            return store.policies.pause_all()

    def unpause_all(self) -> bool:
        """End the pause of all queues, whichever program has paused them; a queue that is paused by
        itself stays so. False when they were not paused."""
        with self._asking() as store:
            return store.policies.unpause_all()

    def limit(
        self,
        queue: str,
        *,
        concurrent: int | Kept | None = UNCHANGED,
        rate: str | Kept | None = UNCHANGED,
        burst: int | None = None,
    ) -> None:
        """Limit the jobs of a queue, over all workers; None takes a limit away, and what is not
        given stays as it is.

            gresque.limit("mail", concurrent=20)          # at most 20 at once
            gresque.limit("mail", rate="100/m", burst=10)
            gresque.limit("mail", concurrent=None, rate=None)

        Jobs that are in flight when the queue gets its first cap are not counted: the cap is exact
        when they have ended. A rate is N/s, N/m, N/h or N/30s; after a rest `burst` jobs start at
        once, by default as many as a tenth of a second brings, and at least one.
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
        with self._asking() as store:
            store.policies.limit(policies.checked_queue(queue), cap=cap, rate=parsed, drop=drop)

    def limits(self) -> list[QueueLimits]:
        """The queues that are paused or limited, by name, and how they stand."""
        with self._asking() as store:
            return limits_of(store.policies.read())
