"""Entries of the schedule that do not run."""

from __future__ import annotations

from collections import defaultdict
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


DECLARED = ("code", "file")


def schedules(view: View) -> Iterator[Finding]:
    snapshot = view.store.cron.read()
    late: dict[str, float] = {}
    unread: dict[str, str] = {}
    apps = _apps(view)
    orphans = defaultdict[str, list[str]](list)
    for name, raw in sorted(snapshot.entries.items()):
        jitter_seconds = 0.0
        try:
            entry = from_json(raw)
            jitter_seconds = entry.jitter_seconds
            if entry.source in DECLARED and apps and entry.app not in apps and entry.enabled:
                orphans[entry.app].append(name)
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
    for app, names in orphans.items():
        left = [name for name in names if name not in snapshot.paused]
        if left:
            yield _undeclared(app, left)
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


def _apps(view: View) -> set[str]:
    """The programs that workers run; empty while one of them may not be known. A process that lives
    for a few jobs has no vitals as a rule."""
    vitals = [each.vitals for each in view.look.processes if each.seems_to_live]
    return set() if None in vitals else {each.app for each in vitals if each is not None}


def _undeclared(app: str, names: list[str]) -> Finding:
    """Of a program that no worker runs: as when the modules of -r have changed, and the entries
    were taken out of the code at the same time."""
    more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
    return Finding(
        Level.WARNING,
        "schedules",
        printable(
            f"schedule entry {names[0]}{more} is enqueued, and no worker with -r {app} runs, which "
            "declares it; remove it if the code does not have it any more"
        ),
        (shell("gresque", "cron", "list"), shell("gresque", "cron", "remove", *names[:10])),
        {"entries": names, "app": app},
    )
