"""Running jobs by their ids."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from gresque.control.targets import targets_named
from gresque.inspector.running import RunningJob, read_slots
from gresque.store.commands import Running
from gresque.text import decoded
from gresque.web.site import site


def running_with_ids(ids: Sequence[str]) -> list[RunningJob]:
    """Those of these jobs that run, for over a second or less. Raises AmbiguousId."""
    here = site()
    snapshot = here.collector.last()
    targets, _ = targets_named(here.store, ids)
    slots: defaultdict[str, list[str]] = defaultdict(list)
    for each in targets:
        slots[each.held.process].append(decoded(each.held.slot))
    published = {p.id: p.running for p in snapshot.look.processes}
    known = {process: published.get(process, Running()) for process in slots}
    return read_slots(here.store, slots, known, snapshot.at)
