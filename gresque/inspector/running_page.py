"""Running jobs of a snapshot that a filter means: how many, of which kinds, and a page of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

from gresque.inspector.filters import (
    ANY,
    CLASS,
    HOST,
    ID,
    LONGER,
    QUEUE,
    SHORTER,
    TEXT,
    WAITS,
    Filter,
)
from gresque.inspector.running import RunningJob, read_slots
from gresque.inspector.snapshot import Published, Snapshot
from gresque.store.store import Store

_PLACE = itemgetter(1, 2)
"""Of a `Published`."""
_NEEDS_JOBS = (CLASS, QUEUE, ID, TEXT)


def needs_jobs(wanted: Filter) -> bool:
    """Whether the filter asks for more than a snapshot without `jobs` has."""
    return any(term.key in _NEEDS_JOBS for term in wanted.terms)


@dataclass(frozen=True)
class Facet:
    """The values of one key of the filter with their numbers of jobs, the most frequent first, and
    what lies behind them: how many `others` with how many jobs together."""

    key: str
    values: tuple[tuple[str, int], ...]
    others: int
    jobs_of_others: int


@dataclass(frozen=True)
class Matching:
    """Jobs that have been running for over a second and that a filter means, in the order of the
    snapshot. `running` counts those without the filter, `held` all jobs in flight, those of less
    than a second included."""

    wanted: Filter
    jobs: Sequence[Published]
    running: int
    held: int

    @classmethod
    def of(cls, snapshot: Snapshot, wanted: Filter = ANY) -> Matching:
        """Without `snapshot.jobs` a class, queue, id or text matches nothing. A job that started
        since these were read matches as if it had none."""
        found = snapshot.running if not wanted else [*_matching(snapshot, wanted)]
        return cls(wanted, found, len(snapshot.running), snapshot.held)

    def facets(self, snapshot: Snapshot, most: int = 5) -> tuple[Facet, ...]:
        """Of what each of these jobs waits on, its class, its queue and its host. Empty ones are
        left out; without `snapshot.jobs` only the hosts are known."""
        places = [*map(_PLACE, self.jobs)]
        held = snapshot.jobs.at(places) if snapshot.jobs is not None else []
        names = {row.id: row.host for row in snapshot.processes}
        hosts: Counter[str] = Counter()
        for process, count in Counter(process for process, _ in places).items():
            hosts[names.get(process, "")] += count
        # There may be many thousands of jobs, and a page asks each second.
        counts = {
            WAITS: Counter(filter(None, map(snapshot.waits.get, places))),
            CLASS: Counter([each.job or "" for each in held]),
            QUEUE: Counter([each.queue for each in held]),
            HOST: hosts,
        }
        return tuple(_facet(key, found, most) for key, found in counts.items() if found)

    def page(self, store: Store, snapshot: Snapshot, start: int, count: int) -> list[RunningJob]:
        """The jobs from this position on, read now, in one round trip. Those that ended since the
        snapshot are left out."""
        return read_jobs(store, snapshot, self.jobs[start : start + count])


def read_jobs(store: Store, snapshot: Snapshot, jobs: Sequence[Published]) -> list[RunningJob]:
    """These jobs with their payloads, in the same order, in one round trip."""
    slots: defaultdict[str, list[str]] = defaultdict(list)
    for each in jobs:
        slots[each.process].append(each.slot)
    running = {p.id: p.running for p in snapshot.look.processes if p.id in slots}
    found = {(job.process, job.slot): job for job in read_slots(store, slots, running, snapshot.at)}
    return [found[each.place] for each in jobs if each.place in found]


def _matching(snapshot: Snapshot, wanted: Filter) -> Iterator[Published]:
    processes = {*wanted.processes([row.id for row in snapshot.processes])}
    apart = (HOST, LONGER, SHORTER, WAITS)
    waits = Filter(tuple(term for term in wanted.terms if term.key == WAITS))
    waits_on = waits_of(snapshot)
    rest = Filter(tuple(term for term in wanted.terms if term.key not in apart))
    least, most, at = wanted.longer_than, wanted.shorter_than, snapshot.at
    jobs = snapshot.jobs
    for each in snapshot.running:
        seconds = max(at - each.since, 0.0)
        if (
            each.process not in processes
            or (least is not None and seconds < least)
            or (most is not None and seconds >= most)
        ):
            continue
        if waits and not waits.matches(waits_on=waits_on(each)):
            continue
        if rest:
            held = jobs.get(each.place) if jobs is not None else None
            if held is None or not held.is_meant(rest):
                continue
        yield each


def waits_of(snapshot: Snapshot) -> Callable[[Published], str]:
    """What a job waits on, as its process has published it; empty where it is not known."""
    waits = snapshot.waits
    return lambda job: waits.get(job.place, "")


def _facet(key: str, counts: Counter[str], most: int) -> Facet:
    first = tuple(counts.most_common(most))
    return Facet(
        key, first, len(counts) - len(first), counts.total() - sum(count for _, count in first)
    )
