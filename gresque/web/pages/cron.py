"""Cron: the entries of the schedule and when each runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime

from flask import Response, request

from gresque.client.schedules import ScheduleEntry, Schedules
from gresque.errors import ScheduleError
from gresque.web.pages.show import show
from gresque.web.site import site

NEXT = 8
"""Times of an entry that is opened."""


def page() -> Response:
    here = site()
    schedules = Schedules(lambda: nullcontext(here.store))
    entries, now = schedules.list(), here.store.now()
    opened = request.args.get("open", "")
    return show(
        "cron", number=f"{now:.0f}", entries=sorted(entries, key=_soonest), now=now, opened=opened,
        times=_times(schedules, entries, opened),
    )  # fmt: skip


def _soonest(entry: ScheduleEntry) -> tuple[bool, float, str]:
    """Those that cannot run, then the next one."""
    return (
        entry.error is None,
        entry.next.timestamp() if entry.next else float("inf"),
        entry.name,
    )


def _times(
    schedules: Schedules, entries: Sequence[ScheduleEntry], opened: str
) -> Mapping[str, list[datetime]]:
    try:
        known = any(entry.name == opened and entry.error is None for entry in entries)
        return {opened: schedules.next(opened, NEXT)} if known else {}
    except ScheduleError:
        return {}
