"""The totals of the system at one moment, and how fast they grow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gresque.inspector.findings.view import View


@dataclass(frozen=True)
class Totals:
    """Of one shard, or of several together. Rates are jobs a second, ages seconds; `waiting` has
    the queues in which jobs wait, the longest first."""

    at: float
    """Epoch seconds by the server's clock."""
    processed: int
    failed: int
    done_rate: float
    failed_rate: float
    kept_failed: int
    waiting: Mapping[str, int]
    oldest_age: float | None
    """Of the waiting jobs that are next in their queues."""
    later: int
    held: int
    longest_seconds: float | None
    """For how long a job has been running, where one has for over a second."""
    processes: int
    workers: frozenset[str]
    all_paused: bool
    paused: tuple[str, ...]
    limited: tuple[str, ...]

    @classmethod
    def of(cls, view: View) -> Totals:
        look, counts = view.look, view.look.counts
        ages = [age for age in view.ages.values() if age is not None]
        starts = [since for each in look.processes for since in each.running.since.values()]
        policies = look.flow.policies.items()
        return cls(
            at=view.at,
            processed=counts.processed,
            failed=counts.failed,
            done_rate=view.done_rate,
            failed_rate=view.failed_rate,
            kept_failed=look.kept_failed,
            waiting=view.waiting,
            oldest_age=max(ages, default=None),
            later=look.later,
            held=look.held,
            longest_seconds=max(view.at - min(starts), 0.0) if starts else None,
            processes=len(look.processes),
            workers=look.workers,
            all_paused=look.flow.all_paused,
            paused=tuple(name for name, each in policies if each.paused),
            limited=tuple(name for name, each in policies if each.is_limited),
        )

    @classmethod
    def merge(cls, found: Mapping[str, Totals]) -> Totals:
        """The sums over these shards. What is paused on one of them is paused."""
        each = [*found.values()]
        waiting = sum((Counter(totals.waiting) for totals in each), Counter[str]())
        return cls(
            at=max(totals.at for totals in each),
            processed=sum(totals.processed for totals in each),
            failed=sum(totals.failed for totals in each),
            done_rate=sum(totals.done_rate for totals in each),
            failed_rate=sum(totals.failed_rate for totals in each),
            kept_failed=sum(totals.kept_failed for totals in each),
            waiting=dict(sorted(waiting.items(), key=lambda one: (-one[1], one[0]))),
            oldest_age=_longest(totals.oldest_age for totals in each),
            later=sum(totals.later for totals in each),
            held=sum(totals.held for totals in each),
            longest_seconds=_longest(totals.longest_seconds for totals in each),
            processes=sum(totals.processes for totals in each),
            workers=frozenset().union(*(totals.workers for totals in each)),
            all_paused=any(totals.all_paused for totals in each),
            paused=_names(totals.paused for totals in each),
            limited=_names(totals.limited for totals in each),
        )


def _longest(found: Iterable[float | None]) -> float | None:
    return max((each for each in found if each is not None), default=None)


def _names(found: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for names in found for name in names))
