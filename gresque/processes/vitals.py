"""The vitals of worker processes: what is known of each from outside, as it stands in Redis."""

from __future__ import annotations

import os

import msgspec

from gresque.processes.fingerprint import stat_fields
from gresque.processes.scoreboard import Row
from gresque.schedule.declared import app_of
from gresque.settings import Settings
from gresque.version import __version__

_USER_TICKS, _SYSTEM_TICKS, _RESIDENT_PAGES = 11, 12, 21
"""Of what comes after the name in /proc/<pid>/stat."""


class Vitals(msgspec.Struct, omit_defaults=True):
    """One worker process. Numbers are rounded, so that those of an idle process do not change."""

    state: str
    """The name of its `ProcessState` in small letters."""
    threads: int
    """How many of its threads run a job."""
    held: int
    """Jobs that it holds: those that run, and those that it has reserved ahead."""
    lag: float
    """The longest that its loop did not turn since the last entry, in seconds."""
    started: int
    """Epoch seconds, by the clock of its machine."""
    queues: str
    version: str
    rss: int | None = None
    """Resident memory in bytes, to the megabyte. None where the kernel does not show it, as outside
    Linux; so is `cpu`."""
    cpu: float | None = None
    """Seconds of CPU that it has used."""
    app: str = ""
    """The modules that declare its jobs, as in the schedule entries of these."""

    def encode(self) -> bytes:
        return msgspec.json.encode(self)


def parse(raw: bytes) -> Vitals:
    """Raises msgspec.MsgspecError for what is none."""
    return msgspec.json.decode(raw, type=Vitals)


def vitals_of(row: Row, settings: Settings) -> Vitals:
    """Those of the process that has this row of the scoreboard. Its lag starts again at 0."""
    held = row.totals.held
    rss, cpu = _usage(row.pid)
    return Vitals(
        state=row.state.name.lower(),
        threads=min(held, settings.thread_count),
        held=held,
        lag=round(row.take_lag_ms() / 1000, 2),
        started=row.born_ms // 1000,
        queues=str(settings.queues),
        version=__version__,
        rss=rss,
        cpu=cpu,
        app=app_of(settings.require),
    )


def _usage(pid: int) -> tuple[int | None, float | None]:
    """Bytes of resident memory and seconds of CPU."""
    fields = stat_fields(pid)
    if len(fields) <= _RESIDENT_PAGES:
        return None, None
    resident = int(fields[_RESIDENT_PAGES]) * os.sysconf("SC_PAGE_SIZE")
    ticks = int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS])
    return round(resident, -6), round(ticks / os.sysconf("SC_CLK_TCK"), 1)
