"""Queues that are not worked, or not fast enough."""

from __future__ import annotations

from collections.abc import Iterator

from gresque.clock import duration
from gresque.inspector.findings.finding import Finding, Level
from gresque.inspector.findings.view import View
from gresque.inspector.look import ProcessLook
from gresque.processes.identity import WorkerName, worker_of
from gresque.processes.short_names import short_worker
from gresque.queue_list import quoted
from gresque.text import counted, printable, shell

GROWS_SECONDS = 10.0
"""A queue grows when its next job has waited this long; before, it may be a burst."""
STARTS_SECONDS = 10.0
"""A worker that is being replaced is back within this time."""
BEHIND_SECONDS = 60.0
STEADY_SECONDS = 120.0
"""A queue that has not become shorter from one look to the next is late after this: one that grows
by a job in ten seconds shows no growth in one."""
LATE_SECONDS = 600.0
MANY = 1000
"""Jobs of a queue that grows and does not say since when they wait."""

_PAUSED = "paused"


def unserved(view: View) -> Iterator[Finding]:
    """Queues with jobs that no worker takes. Where there is no worker at all, this is said once. A
    warning while they wait for no longer than a worker takes to start."""
    alone = [name for name in view.waiting if name not in view.served]
    if not view.live_workers and not any(view.servers.values()):
        if alone:
            yield _no_worker(view, alone)
        return
    for name in alone:
        message = f"no worker serves queue {name}: {_waits(view, name)}"
        command = shell("gresque", "work", "-q", quoted(name))
        level = _by_age(view.ages[name])
        yield Finding(level, "unserved", printable(message), (command,), _details(view, name))


def _no_worker(view: View, queues: list[str]) -> Finding:
    count = sum(view.waiting[name] for name in queues)
    ages = [age for name in queues if (age := view.ages[name]) is not None]
    oldest = f", the oldest for {duration(max(ages))}" if ages else ""
    all_say = len(ages) == len(queues)
    jobs = f"{counted(count, 'job')} {'waits' if count == 1 else 'wait'}"
    return Finding(
        _by_age(max(ages) if all_say else None),
        "unserved",
        printable(f"no worker runs: {jobs} in {counted(len(queues), 'queue')}{oldest}"),
        (shell("gresque", "work", "-q", ",".join(map(quoted, queues[:5]))),),
        {"queues": {name: view.waiting[name] for name in queues}},
    )


def _by_age(age: float | None) -> Level:
    return Level.WARNING if age is not None and age < STARTS_SECONDS else Level.BROKEN


def paused(view: View) -> Iterator[Finding]:
    """A pause of all queues; queues with waiting jobs that are paused by name, or in every
    process."""
    flow = view.look.flow
    if flow.all_paused:
        yield _all_are_paused(view)
    for name, processes in view.servers.items():
        if flow.policy(name).paused:
            message = f"queue {name} is paused: {_waits(view, name)}"
            command = shell("gresque", "unpause", name)
        elif _all_paused(processes):
            workers = sorted({worker_of(process.id) for process in processes})
            pids = [WorkerName.parse(each).master_pid for each in workers]
            names = ", ".join(map(short_worker, workers))
            message = f"queue {name} is paused in {names}: {_waits(view, name)}"
            command = shell("kill", "-CONT", *pids)
        else:
            continue
        yield Finding(Level.WARNING, "paused", printable(message), (command,), _details(view, name))


def _all_are_paused(view: View) -> Finding:
    count = sum(view.waiting.values())
    ages = [age for age in view.ages.values() if age is not None]
    oldest = f", the oldest for {duration(max(ages))}" if ages else ""
    jobs = f"{counted(count, 'job')} {'waits' if count == 1 else 'wait'}"
    return Finding(
        Level.WARNING,
        "paused",
        "all queues are paused, for Resque's Ruby workers, too (by the key pause-all-workers): "
        f"{jobs} in {counted(len(view.waiting), 'queue')}{oldest}",
        (shell("gresque", "unpause", "--all"),),
        {"queues": dict(view.waiting)},
    )


def behind(view: View) -> Iterator[Finding]:
    """Queues that are worked and grow, whose next job has waited for long, or that stand still. An
    operator wants a limited queue to be slow, so nothing is broken, unless the queue stands still
    although its limits let jobs start."""
    flow = view.look.flow
    for name, processes in view.servers.items():
        if name not in view.served or _all_paused(processes) or flow.is_paused(name):
            continue
        age, growth = view.ages[name], view.growth(name)
        limits = flow.describe(name)
        if view.is_idle(name) and not flow.holds_back(name):
            broken = True
            message = f"queue {name} stands still, none of its workers runs a job: "
            message += _waits(view, name)
        elif growth > 0 and _is_no_burst(view, name):
            broken = age is not None and age >= BEHIND_SECONDS and not limits
            message = f"queue {name} grows by {growth:,.0f}/s: {_waits(view, name)}"
        elif age is not None and age >= (STEADY_SECONDS if growth >= 0 else LATE_SECONDS):
            broken = False
            message = f"queue {name} is behind: {_waits(view, name)}"
        else:
            continue
        yield Finding(
            Level.BROKEN if broken else Level.WARNING,
            "behind",
            printable(message + (f"; it is limited: {limits}" if limits else _why(processes))),
            (_next_command(view, name),),
            _details(view, name) | {"growth": round(growth, 1), "limits": limits or None},
        )


def _is_no_burst(view: View, name: str) -> bool:
    age = view.ages[name]
    return age >= GROWS_SECONDS if age is not None else view.waiting[name] >= MANY


def _next_command(view: View, name: str) -> str:
    if view.look.flow.policy(name).is_limited:
        return shell("gresque", "limits")
    if view.is_idle(name):
        return shell("gresque", "queues", "show", name)
    return shell("gresque", "running", "--queue", name)


def _all_paused(processes: list[ProcessLook]) -> bool:
    return bool(processes) and all(process.state == _PAUSED for process in processes)


def _waits(view: View, name: str) -> str:
    count, age = view.waiting[name], view.ages[name]
    jobs = f"{counted(count, 'job')} {'waits' if count == 1 else 'wait'}"
    return jobs if age is None else f"{jobs}, the oldest for {duration(age)}"


def _why(processes: list[ProcessLook]) -> str:
    """Whether the threads of those that serve a queue are all taken."""
    names = [WorkerName.parse(worker_of(process.id)) for process in processes]
    threads = sum(name.thread_count for name in names)
    taken = sum(
        min(process.held, name.thread_count) for process, name in zip(processes, names, strict=True)
    )
    if not threads or taken < threads:
        return ""
    where = counted(len(processes), "process", "processes")
    return f"; all {counted(threads, 'thread')} of its {where} are taken"


def _details(view: View, name: str) -> dict[str, object]:
    return {"queue": name, "waiting": view.waiting[name], "oldest_seconds": view.ages[name]}
