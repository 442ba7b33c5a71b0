"""Running jobs by their ids."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from gresque.control.targets import targets_named
from gresque.inspector.running import RunningJob, read_slots
from gresque.inspector.running_page import read_jobs
from gresque.inspector.snapshot import Published, Snapshot
from gresque.store.commands import Running
from gresque.text import decoded
from gresque.web.parts import ask_parts, by_part
from gresque.web.site import Site, site


def running_with_ids(ids: Sequence[str]) -> list[RunningJob]:
    """Those of these jobs that run, for over a second or less. Raises AmbiguousId."""
    snapshot = site().collector.last()
    published = {p.id: p.running for p in snapshot.look.processes}

    def ask(part: Site) -> list[RunningJob]:
        targets, _ = targets_named(part.store, ids)
        slots: defaultdict[str, list[str]] = defaultdict(list)
        for each in targets:
            slots[each.held.process].append(decoded(each.held.slot))
        known = {process: published.get(process, Running()) for process in slots}
        return read_slots(part.store, slots, known, snapshot.at)

    return [job for jobs in ask_parts(ask).values for job in jobs]


def read_published(snapshot: Snapshot, jobs: Sequence[Published]) -> list[RunningJob]:
    """These jobs of a snapshot with their payloads, in the same order. Those that ended since are
    left out, and those of a shard that does not answer."""
    here = site()
    if not here.parts:
        return read_jobs(here.store, snapshot, jobs)
    shards = by_part({job.process for job in jobs})
    found = ask_parts(
        lambda part: read_jobs(
            part.store, snapshot, [job for job in jobs if job.process in shards[part.shard]]
        ),
        among={name: here.parts[name] for name in shards},
    )
    read = {(job.process, job.slot): job for each in found.values for job in each}
    return [read[job.place] for job in jobs if job.place in read]
