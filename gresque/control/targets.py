"""The running jobs that a kill means: by ids of any length, or by what they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from gresque.errors import AmbiguousId
from gresque.inspector.filters import Filter
from gresque.inspector.running import RunningJob
from gresque.jobs import payload
from gresque.processes.short_names import END_DIGITS, has_id
from gresque.store.processes import Held
from gresque.store.store import Store
from gresque.text import printable

FEW = 3
"""Ids that Redis looks for, one after the other; for more of them all that runs is read once."""
_SHOWN = 3


class Target(NamedTuple):
    """A job that is to be killed, where it stands, and its class where it was selected by what it
    is. One for each process: a command to it kills all of its jobs with this id."""

    job_id: str
    held: Held
    job_class: str | None = None


def find_running(store: Store, wanted: str, process_ids: Sequence[str]) -> tuple[str, list[Held]]:
    """The id of the job that is meant, and where it stands: in more than one slot where a foreign
    program used an id twice, in none where no such job runs. Redis looks for it.

    Raises AmbiguousId when ids of several jobs end with `wanted`.
    """
    found = store.processes.find_held(process_ids, wanted)
    return _pick(wanted, ((str(payload.loads(held.entry.raw).get("id")), held) for held in found))


def targets_named(store: Store, ids: Sequence[str]) -> tuple[list[Target], list[str]]:
    """The jobs with these ids, and the ids of no running job. Raises AmbiguousId."""
    ids = list(dict.fromkeys(ids))
    targets: dict[tuple[str, str], Target] = {}
    missing = []
    for each, (job_id, found) in zip(ids, _find(store, ids), strict=True):
        targets |= {(held.process, job_id): Target(job_id, held) for held in reversed(found)}
        if not found:
            missing.append(each)
    return [*targets.values()], missing


def refuse_ambiguous(ids: Iterable[str], found: Iterable[Sequence[Target]]) -> None:
    """Raises AmbiguousId when an id that is not whole means a job of one shard and another one of
    another; `found` has the targets of each shard."""
    running = list(dict.fromkeys(target.job_id for targets in found for target in targets))
    for wanted in ids:
        fitting = [each for each in running if has_id(each, wanted)]
        if len(fitting) > 1 and wanted not in fitting:
            raise _ambiguous(wanted, fitting)


def targets_selected(store: Store, wanted: Filter) -> tuple[list[Target], int]:
    """The jobs that are wanted, those that run longest first; and how many of them have no id, by
    which a kill could name them."""
    jobs = RunningJob.all(store, wanted)
    return targets_of(jobs), sum(job.item.get("id") is None for job in jobs)


def targets_of(jobs: Iterable[RunningJob]) -> list[Target]:
    """These jobs, in their order, without those that have no id."""
    targets: dict[tuple[str, str], Target] = {}
    for job in jobs:
        if job.item.get("id") is not None:
            job_id, name = str(job.item["id"]), str(job.item.get("class"))
            targets.setdefault((job.process, job_id), Target(job_id, job.held, name))
    return [*targets.values()]


def _find(store: Store, ids: Sequence[str]) -> Iterator[tuple[str, list[Held]]]:
    if len(ids) <= FEW:
        processes = store.processes.ids()
        yield from (find_running(store, each, processes) for each in ids)
        return
    by_end = defaultdict[str, list[tuple[str, Held]]](list)
    for job in RunningJob.all(store):
        job_id = str(job.item.get("id"))
        by_end[job_id[-END_DIGITS:]].append((job_id, job.held))
    yield from (_pick(each, by_end[each[-END_DIGITS:]]) for each in ids)


def _pick(wanted: str, jobs: Iterable[tuple[str, Held]]) -> tuple[str, list[Held]]:
    found: dict[str, list[Held]] = {}
    for job_id, held in jobs:
        if has_id(job_id, wanted):
            found.setdefault(job_id, []).append(held)
    if wanted in found:
        return wanted, found[wanted]
    if len(found) > 1:
        raise _ambiguous(wanted, [*found])
    return next(iter(found.items()), (wanted, []))


def _ambiguous(wanted: str, found: Sequence[str]) -> AmbiguousId:
    some = ", ".join([*map(printable, found)][:_SHOWN])
    return AmbiguousId(
        f"the ids of {len(found):,} running jobs end with {printable(wanted)}; give more "
        f"digits: {some}"
    )
