"""Processes whose loop does not turn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from gresque.clock import duration
from gresque.inspector.findings.finding import Finding, Level
from gresque.inspector.findings.view import View
from gresque.inspector.names import worker_and_pid
from gresque.inspector.running import RunningJob
from gresque.processes.short_names import short_id, short_process
from gresque.text import counted, printable, shell

MOST = 200
"""Blocked processes that are looked at."""
SLOW_SECONDS = 1.0


def blocked(view: View) -> Iterator[Finding]:
    """Processes that a job blocks: its neighbours stand still. By the class of the job."""
    slots = {
        process.id: [process.running.blocking.slot]
        for process in view.look.processes
        if process.running.blocking is not None
    }
    held = {process.id: process.held for process in view.look.processes}
    by_class = defaultdict[object, list[RunningJob]](list)
    for job in view.jobs(dict([*slots.items()][:MOST])):
        by_class[job.item.get("class")].append(job)
    for jobs in by_class.values():
        yield _of_class(sorted(jobs, key=lambda job: -(job.blocks_seconds or 0.0)), held)


def _of_class(jobs: list[RunningJob], held: dict[str, int]) -> Finding:
    worst = jobs[0]
    neighbours = sum(held[job.process] - 1 for job in jobs)
    waits = "" if neighbours < 1 else f"; {counted(neighbours, 'other job')} stand still"
    if neighbours == 1:
        waits = "; 1 other job stands still"
    where = f" at {worst.stack[0]}" if worst.stack else ""
    name = short_process(worst.process)
    job_id = short_id(worst.item.get("id"))
    if len(jobs) == 1:
        message = f"{name} is blocked for {duration(worst.blocks_seconds)} by {worst.label}"
        commands = (shell("gresque", "stacks", name), shell("gresque", "kill", job_id))
    else:
        message = (
            f"{len(jobs):,} processes are blocked by jobs of {worst.item.get('class')}, for "
            f"{duration(worst.blocks_seconds)} by {worst.label} in {name}"
        )
        commands = (
            shell("gresque", "running", "-n", len(jobs)),
            shell("gresque", "kill", "--class", worst.item.get("class")),
        )
    details = {
        "processes": [job.process for job in jobs],
        "class": worst.item.get("class"),
        "id": worst.item.get("id"),
        "label": worst.label,
        "seconds": worst.blocks_seconds,
        "neighbours": max(neighbours, 0),
        "stack": list(worst.stack),
    }
    return Finding(Level.BROKEN, "blocked", printable(message + where + waits), commands, details)


def frozen(view: View) -> Iterator[Finding]:
    """Processes in which nothing runs and no job is to blame: they were stopped by a signal, or
    hang in C. Their master beats for them."""
    still = {
        process.id: max(view.at - since, 0.0)
        for process in view.look.processes
        if (since := process.running.frozen) is not None
    }
    if not still:
        return
    longest = max(still, key=still.__getitem__)
    name, pid = short_process(longest), worker_and_pid(longest)[1]
    held = sum(process.held for process in view.look.processes if process.id in still)
    if len(still) == 1:
        message = f"{name} stands still"
    else:
        message = f"{len(still):,} processes stand still, {name}"
    message += f" for {duration(still[longest])}: stopped by a signal, or it hangs"
    if held:
        message += f"; so {'does' if held == 1 else 'do'} {counted(held, 'job')} in "
        message += "it" if len(still) == 1 else "them"
    yield Finding(
        Level.BROKEN if held else Level.WARNING,
        "frozen",
        printable(message),
        (shell("gresque", "stacks", name), shell("kill", "-CONT", pid)),
        {"processes": {process: round(age, 1) for process, age in still.items()}},
    )


def slow_loops(view: View) -> Iterator[Finding]:
    """Processes whose loop stood still lately, by what their maintenance process measured."""
    slow = {
        process.id: process.vitals.lag
        for process in view.look.processes
        if process.vitals is not None
        and process.vitals.lag >= SLOW_SECONDS
        and process.running.blocking is None
        and process.running.frozen is None
    }
    if not slow:
        return
    worst = max(slow, key=slow.__getitem__)
    name = short_process(worst)
    message = f"the loop of {name} stood still for up to {duration(slow[worst])} lately"
    if len(slow) > 1:
        message += f", and {counted(len(slow) - 1, 'other loop')} for over {SLOW_SECONDS:.0f} s"
    yield Finding(
        Level.WARNING,
        "slow_loops",
        f"{printable(message)}: some job uses the CPU or waits in C",
        (shell("gresque", "stacks", name),),
        {"processes": slow},
    )
