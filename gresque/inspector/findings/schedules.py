"""Entries of the schedule that do not run."""

from __future__ import annotations

from collections.abc import Iterator

from gresque.clock import duration
from gresque.errors import NotReadableHere, ScheduleError
from gresque.inspector.findings.finding import Finding, Level
from gresque.inspector.findings.view import View
from gresque.schedule.entry import from_json
from gresque.schedule.ticks import jitter
from gresque.text import printable, shell

LATE_SECONDS = 30.0
"""When a host dies, another one takes over in up to 6 s."""


def schedules(view: View) -> Iterator[Finding]:
    snapshot = view.store.cron.read()
    late: dict[str, float] = {}
    unread: dict[str, str] = {}
    for name, raw in sorted(snapshot.entries.items()):
        jitter_seconds = 0.0
        try:
            jitter_seconds = from_json(raw).jitter_seconds
        except NotReadableHere as error:
            unread[name] = str(error)
        except ScheduleError as error:
            yield Finding(
                Level.BROKEN,
                "schedules",
                f"schedule entry {printable(name)} cannot run: {printable(error)}",
                (shell("gresque", "cron", "list"),),
                {"entry": name, "error": str(error)},
            )
            continue
        tick = snapshot.next.get(name)
        if tick is not None:
            due = tick + jitter(name, tick, jitter_seconds)
            if view.at - due / 1000 >= LATE_SECONDS:
                late[name] = view.at - due / 1000
    if unread:
        first, why = min(unread.items())
        others = f" and {len(unread) - 1:,} more" if len(unread) > 1 else ""
        yield Finding(
            Level.WARNING,
            "schedules",
            f"schedule entry {printable(first)}{others}: {printable(why)}; on this machine it is "
            "not known whether workers run them",
            (shell("gresque", "cron", "list"),),
            {"entries": sorted(unread), "error": why},
        )
    if late:
        worst = max(late, key=late.__getitem__)
        others = f" and {len(late) - 1:,} more" if len(late) > 1 else ""
        verb = "are" if others else "is"
        yield Finding(
            Level.BROKEN,
            "schedules",
            f"schedule entry {printable(worst)}{others} {verb} due and not run for "
            f"{duration(late[worst])}: no gresque work runs, or its log names what keeps it from "
            "running",
            (shell("gresque", "workers"), shell("gresque", "cron", "list")),
            {"entries": sorted(late), "seconds": round(late[worst])},
        )
