"""Running jobs, counted by class and queue."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import median

from gresque.inspector.filters import ANY, Filter
from gresque.inspector.running import RunningJob, read_entries
from gresque.jobs import payload
from gresque.store.store import Store

Glance = tuple[tuple[str | None, str], float, bool]
"""The class and queue of a job, its seconds, and whether it blocks its process."""


@dataclass(frozen=True)
class RunningGroup:
    """Running jobs of one class from one queue: how many, and the age of the oldest and the middle
    one in seconds; None for less than one. `blocking` of them block their process."""

    job_class: str | None
    queue: str
    count: int
    oldest_seconds: float | None
    median_seconds: float | None
    blocking: int

    @classmethod
    def all(cls, store: Store, wanted: Filter = ANY) -> list[RunningGroup]:
        """The largest group first. Every payload is read, and of each the class alone decoded,
        unless the filter asks for more."""
        return cls.of(glances(store, wanted))

    @classmethod
    def of(cls, found: Iterable[Glance]) -> list[RunningGroup]:
        """The groups of these jobs, of one shard or of all, the largest first."""
        ages = defaultdict[tuple[str | None, str], list[float]](list)
        blocking = defaultdict[tuple[str | None, str], int](int)
        for group, seconds, blocks in found:
            ages[group].append(seconds)
            blocking[group] += blocks
        groups = [
            cls(
                job_class=group[0],
                queue=group[1],
                count=len(each),
                oldest_seconds=max(each) or None,
                median_seconds=median(each) or None,
                blocking=blocking[group],
            )
            for group, each in ages.items()
        ]
        return sorted(groups, key=lambda each: (-each.count, each.job_class or "", each.queue))


def glances(store: Store, wanted: Filter = ANY) -> Iterator[Glance]:
    """The running jobs that are wanted, as far as groups need them."""
    found = _decoded if wanted.wants_more_than_class_and_queue else _glanced_at
    return found(store, wanted)


def _glanced_at(store: Store, wanted: Filter) -> Iterator[Glance]:
    now, running, found = read_entries(store, wanted)
    for process, slot, queue, entry in found:
        since, blocking = running[process].since.get(slot), running[process].blocking
        seconds = None if since is None else max(now - since, 0.0)
        group = payload.class_of(entry.raw), queue
        if wanted.matches(job_class=group[0], queue=queue, seconds=seconds):
            yield group, seconds or 0.0, blocking is not None and blocking.slot == slot


def _decoded(store: Store, wanted: Filter) -> Iterator[Glance]:
    for job in RunningJob.all(store, wanted):
        name = job.item.get("class")
        group = name if isinstance(name, str) else None, job.queue
        yield group, job.seconds or 0.0, job.blocks_seconds is not None
