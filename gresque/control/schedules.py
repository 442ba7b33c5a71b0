"""Entries of the schedule: run now, skip, pause, resume, remove."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime
from typing import Any

from gresque.client.schedules import Schedules
from gresque.control.audit import acting
from gresque.jobs.ids import JobId
from gresque.logs import fields
from gresque.store.store import Store
from gresque.text import printable

log = logging.getLogger("gresque.control")


def run_now(store: Store, name: str, *, by: str) -> JobId:
    """Enqueue the job of an entry; see `Schedules.run_now`. Raises ScheduleError, as all here."""
    with acting(store, by, "cron run", f"schedule {name}") as act:
        job_id = of(store).run_now(name)
        act.changed(not job_id.duplicate, f"job {job_id} of it has not ended")
        act.outcome = f"enqueued job {job_id}" if act.count else act.outcome
    if not job_id.duplicate:
        log.info(
            "%s ran schedule entry %s: job %s", by, printable(name), job_id,
            extra=fields("schedule_run", by=by, entry=name, job_id=str(job_id)),
        )  # fmt: skip
    return job_id


def skip(store: Store, name: str, *, by: str) -> datetime | None:
    """Leave out the next time; None when there is none."""
    with acting(store, by, "cron skip", f"schedule {name}") as act:
        skipped = of(store).skip(name)
        act.changed(skipped is not None, "has no next time")
        act.outcome = f"not at {skipped.isoformat()}" if skipped else act.outcome
    if skipped is not None:
        log.info(
            "%s skipped schedule entry %s at %s", by, printable(name), skipped.isoformat(),
            extra=fields("schedule_skipped", by=by, entry=name, tick=skipped.isoformat()),
        )  # fmt: skip
    return skipped


def pause(store: Store, name: str, *, by: str) -> bool:
    """False when the entry was paused already."""
    extra = fields("schedule_paused", by=by, entry=name)
    return _switch(store, "pause", name, of(store).pause, "was paused already", extra, by)


def resume(store: Store, name: str, *, by: str) -> bool:
    """False when the entry was not paused."""
    extra = fields("schedule_resumed", by=by, entry=name)
    return _switch(store, "resume", name, of(store).resume, "was not paused", extra, by)


def _switch(
    store: Store,
    verb: str,
    name: str,
    change: Callable[[str], bool],
    otherwise: str,
    extra: dict[str, Any],
    by: str,
) -> bool:
    with acting(store, by, f"cron {verb}", f"schedule {name}") as act:
        changed = act.changed(change(name), otherwise)
    if changed:
        log.info("%s %sd schedule entry %s", by, verb, printable(name), extra=extra)
    return changed


def remove(store: Store, name: str, *, by: str) -> None:
    """Remove an entry. One that code or a file declares comes back while a worker of it runs."""
    with acting(store, by, "cron remove", f"schedule {name}") as act:
        of(store).remove(name)
        act.count = 1
    log.info(
        "%s removed schedule entry %s", by, printable(name),
        extra=fields("schedule_removed", by=by, entry=name),
    )  # fmt: skip


def of(store: Store) -> Schedules:
    """To look at the entries."""
    return Schedules(lambda: nullcontext(store))
