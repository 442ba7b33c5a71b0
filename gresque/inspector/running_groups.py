"""Running jobs, counted by class and queue."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from statistics import median

from gresque.inspector.running import read_entries
from gresque.inspector.wanted import ANY, WantedRunning
from gresque.jobs import payload
from gresque.store.store import Store


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
    def all(cls, store: Store, wanted: WantedRunning = ANY) -> list[RunningGroup]:
        """The largest group first. Every payload is read, and of each the class alone decoded."""
        now, running, found = read_entries(store, wanted)
        ages = defaultdict[tuple[str | None, str], list[float]](list)
        blocking = defaultdict[tuple[str | None, str], int](int)
        for process, slot, queue, entry in found:
            group = payload.class_of(entry.raw), queue
            if wanted.matches(*group):
                since, blocks = running[process].since.get(slot), running[process].blocking
                ages[group].append(0.0 if since is None else max(now - since, 0.0))
                blocking[group] += blocks is not None and blocks.slot == slot
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
