"""Running jobs by their ids, which may be short."""

from __future__ import annotations

from gresque.errors import AmbiguousId
from gresque.jobs import payload
from gresque.processes.short_names import has_id
from gresque.store.processes import Held
from gresque.store.store import Store
from gresque.text import printable

_SHOWN = 3


def find_running(store: Store, wanted: str, process_ids: list[str]) -> tuple[str, list[Held]]:
    """The id of the job that is meant, and where it stands: in more than one slot where a foreign
    program used an id twice, in none where no such job runs.

    Raises AmbiguousId when ids of several jobs end with `wanted`.
    """
    found: dict[str, list[Held]] = {}
    for held in store.processes.find_held(process_ids, wanted):
        job_id = str(payload.loads(held.entry.raw).get("id"))
        if has_id(job_id, wanted):
            found.setdefault(job_id, []).append(held)
    if wanted in found:
        return wanted, found[wanted]
    if len(found) > 1:
        some = ", ".join([*map(printable, found)][:_SHOWN])
        raise AmbiguousId(
            f"the ids of {len(found):,} running jobs end with {printable(wanted)}; give more "
            f"digits: {some}"
        )
    return next(iter(found.items()), (wanted, []))
