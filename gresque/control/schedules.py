"""Entries of the schedule: run now, skip, pause, resume."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from datetime import datetime

from gresque.client.schedules import Schedules
from gresque.jobs.ids import JobId
from gresque.logs import fields
from gresque.store.store import Store
from gresque.text import printable

log = logging.getLogger("gresque.control")


def run_now(store: Store, name: str, *, by: str) -> JobId:
    """Enqueue the job of an entry; see `Schedules.run_now`. Raises ScheduleError, as all here."""
    job_id = _of(store).run_now(name)
    if not job_id.duplicate:
        log.info(
            "%s ran schedule entry %s: job %s", by, printable(name), job_id,
            extra=fields("schedule_run", by=by, entry=name, job_id=str(job_id)),
        )  # fmt: skip
    return job_id


def skip(store: Store, name: str, *, by: str) -> datetime | None:
    """Leave out the next time; None when there is none."""
    skipped = _of(store).skip(name)
    if skipped is not None:
        log.info(
            "%s skipped schedule entry %s at %s", by, printable(name), skipped.isoformat(),
            extra=fields("schedule_skipped", by=by, entry=name, tick=skipped.isoformat()),
        )  # fmt: skip
    return skipped


def pause(store: Store, name: str, *, by: str) -> bool:
    """False when the entry was paused already."""
    changed = _of(store).pause(name)
    if changed:
        log.info(
            "%s paused schedule entry %s", by, printable(name),
            extra=fields("schedule_paused", by=by, entry=name),
        )  # fmt: skip
    return changed


def resume(store: Store, name: str, *, by: str) -> bool:
    """False when the entry was not paused."""
    changed = _of(store).resume(name)
    if changed:
        log.info(
            "%s resumed schedule entry %s", by, printable(name),
            extra=fields("schedule_resumed", by=by, entry=name),
        )  # fmt: skip
    return changed


def _of(store: Store) -> Schedules:
    return Schedules(lambda: nullcontext(store))
