"""Processes that are silent, that wait for their last jobs, or that died."""

from __future__ import annotations

from collections.abc import Iterator

from gresque.clock import duration, parse_iso_8601
from gresque.inspector.findings.finding import Finding, Level
from gresque.inspector.findings.view import SILENT_SECONDS, View
from gresque.inspector.look import ProcessLook
from gresque.inspector.recoveries import LoggedRecovery
from gresque.inspector.workers import GONE_SECONDS
from gresque.processes.short_names import short_id, short_process
from gresque.text import counted, printable, shell

OVERDUE_SECONDS = 90.0
"""A dead process is recovered after 60 s, where some maintenance process lives."""
LONG_SECONDS = 30.0
LEAVING = ("draining", "dry", "paused")
DEATHS_SECONDS = 300.0
DEATHS = 100
"""Recoveries that are looked at, the newest."""
MANY_DEATHS = 15


def silent(view: View) -> Iterator[Finding]:
    """Processes that give no sign of life: dead with their host or master, or cut off."""
    quiet = [each for each in view.look.processes if each.beat_age >= SILENT_SECONDS]
    if not quiet:
        return
    held = sum(each.held for each in quiet)
    longest = max(quiet, key=lambda each: each.beat_age)
    name = short_process(longest.id)
    age = duration(longest.beat_age)
    if len(quiet) == 1:
        message = f"{name} has given no sign of life for {age}"
    else:
        message = f"{len(quiet):,} processes give no sign of life, {name} for {age}"
    holds = f"; {'it holds' if len(quiet) == 1 else 'they hold'} {counted(held, 'job')}"
    yield Finding(
        Level.BROKEN if held else Level.WARNING,
        "silent",
        printable(message + (holds if held else "") + _outlook(view, longest)),
        (shell("gresque", "ledger"),),
        {"processes": {each.id: round(each.beat_age, 1) for each in quiet}, "held": held},
    )


def dead_others(view: View) -> Iterator[Finding]:
    """Workers of other programs that Ruby would prune: the job of one that died is not run."""
    dead = [each for each in view.look.others if each.seems_dead]
    if not dead:
        return
    longest = max(dead, key=lambda each: each.heartbeat_age_seconds or 0.0)
    age = duration(longest.heartbeat_age_seconds)
    message = f"worker {longest.id} of another program has given no heartbeat for {age}"
    if len(dead) > 1:
        message = (
            f"{len(dead):,} workers of other programs give no heartbeat, {longest.id} for {age}"
        )
    yield Finding(
        Level.WARNING,
        "dead_others",
        printable(f"{message}; only its own kind prunes it"),
        (shell("gresque", "workers"), shell("gresque", "workers", "prune", longest.id)),
        {"workers": {each.id: round(each.heartbeat_age_seconds or 0.0, 1) for each in dead}},
    )


def _outlook(view: View, process: ProcessLook) -> str:
    if process.is_fenced:
        return "; its jobs are being recovered"
    if process.beat_age < GONE_SECONDS:
        return f"; it is given up in {GONE_SECONDS - process.beat_age:.0f} s"
    if process.beat_age < OVERDUE_SECONDS:
        return "; it is about to be recovered"
    return "; nothing recovers it: start a worker, whose maintenance process does"


def waiting_drains(view: View) -> Iterator[Finding]:
    """Processes that leave or are paused, and wait for jobs that have run for long."""
    oldest = {
        process.id: min(process.running.since.items(), key=lambda each: each[1])
        for process in view.look.processes
        if process.state in LEAVING and process.running.since
    }
    late = {
        process: slot
        for process, (slot, since) in oldest.items()
        if view.at - since >= LONG_SECONDS
    }
    jobs = view.jobs({process: [slot] for process, slot in late.items()})
    if not jobs:
        return
    worst = max(jobs, key=lambda job: job.seconds or 0.0)
    state = next(each.state for each in view.look.processes if each.id == worst.process)
    does = "is paused and" if state == "paused" else "leaves, and"
    name, job_id = short_process(worst.process), short_id(worst.item.get("id"))
    message = f"{name} {does} waits for {worst.label}, {duration(worst.seconds)} by now"
    if len(jobs) > 1:
        message += f"; so do {counted(len(jobs) - 1, 'other process', 'other processes')}"
    yield Finding(
        Level.WARNING,
        "waiting_drains",
        printable(message),
        (shell("gresque", "stacks", job_id), shell("gresque", "kill", job_id)),
        {"processes": [job.process for job in jobs], "id": worst.item.get("id")},
    )


def deaths(view: View) -> Iterator[Finding]:
    """Processes that died in the last 5 minutes."""
    recent = [
        each
        for each in LoggedRecovery.newest(view.store, DEATHS)
        if view.at - (parse_iso_8601(each.at) or 0.0) < DEATHS_SECONDS
    ]
    if not recent:
        return
    last = recent[0]
    number = f"{len(recent)}{'+' if len(recent) == DEATHS else ''}"
    died = "1 process died" if len(recent) == 1 else f"{number} processes died"
    jobs = sum(each.requeued for each in recent)
    back = f"; {counted(jobs, 'job')} went back to the queues" if jobs else ""
    message = f"{died} in 5 min, the last one {short_process(last.process)}: {last.cause}{back}"
    yield Finding(
        Level.BROKEN if len(recent) >= MANY_DEATHS else Level.WARNING,
        "deaths",
        printable(message),
        (shell("gresque", "ledger", "--recoveries"),),
        {
            "count": len(recent),
            "process": last.process,
            "cause": last.cause,
            "requeued": jobs,
            "failed": sum(each.failed for each in recent),
            "poison": sum(each.poison for each in recent),
        },
    )


def suspects(view: View) -> Iterator[Finding]:
    """Jobs under which a process died, that wait to be run apart from others."""
    for name, (one, more) in view.look.suspects.items():
        count = one + more
        waits = "waits" if count == 1 else "wait"
        message = (
            f"{counted(count, 'job')} of queue {name} {waits} apart from others: their process died"
            f" under them{f', under {more:,} of them more than once' if more else ''}"
        )
        yield Finding(
            Level.WARNING,
            "suspects",
            printable(message),
            (shell("gresque", "ledger", "--recoveries"),),
            {"queue": name, "once": one, "more_often": more},
        )
