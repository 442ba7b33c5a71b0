"""Rules about processes: blocked, frozen, silent, full, dead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from gresque.formats import number, span, tight
from gresque.inspector.filters import CLASS, of_terms
from gresque.inspector.findings.blocked import blocked as find_blocked
from gresque.inspector.findings.blocked import frozen as find_frozen
from gresque.inspector.findings.processes import silent as find_silent
from gresque.inspector.findings.view import View
from gresque.inspector.names import worker_and_pid, worker_name
from gresque.inspector.rules.case import Case, sentence
from gresque.inspector.rules.queues import behind
from gresque.inspector.verdict import Action, Line, Severity
from gresque.inspector.workers import GONE_SECONDS
from gresque.processes.identity import WorkerName, worker_of
from gresque.processes.short_names import short_process, short_worker
from gresque.text import counted, printable

FULL_SECONDS = 30.0
WAITS_SECONDS = 10.0
PLACE_PARTS = 3


def blocked(case: Case) -> Iterator[Line]:
    """A job keeps the others of its process from running."""
    for finding in find_blocked(case.view):
        found = finding.details
        stack = found["stack"]
        cause = f"It stands in {printable(_short_place(stack[0]))}." if stack else ""
        of_class = _blocks_one if len(found["processes"]) == 1 else _blocks_several
        yield of_class(found, found["seconds"], cause)


def _short_place(frame: str) -> str:
    """With the last parts of its path alone: `pdfgen/canvas.py:88:in `draw'`."""
    return "/".join(frame.split("/")[-PLACE_PARTS:])


def _blocks_one(found: Mapping[str, Any], age: float, cause: str) -> Line:
    others, job_id = found["neighbours"], str(found["id"])
    name = short_process(found["processes"][0])
    waits = f", {number(others)} {'waits' if others == 1 else 'wait'}" if others else ""
    still = f"; {counted(others, 'other job')} of it stand still" if others > 1 else ""
    still = "; 1 other job of it stands still" if others == 1 else still
    return Line(
        "blocked", Severity.STOPPED, "A job blocks its process", name,
        f"{printable(found['class'])} blocks its process {tight(age)}{waits}",
        f"{printable(found['label'])} has blocked {name} for {span(age)}{still}.", cause,
        (Action("kill", job_id, "kill"), Action("stack", job_id, "stack")),
    )  # fmt: skip


def _blocks_several(found: Mapping[str, Any], age: float, cause: str) -> Line:
    others, count = found["neighbours"], len(found["processes"])
    job, name = printable(found["class"]), short_process(found["processes"][0])
    waits = f", {number(others)} wait" if others else ""
    still = f"; {number(others)} other jobs stand still" if others else ""
    wanted = str(of_terms({CLASS: str(found["class"])}))
    return Line(
        "blocked", Severity.STOPPED, "Jobs block their processes", job,
        f"blocks {count:,} processes up to {tight(age)}{waits}",
        f"Jobs of {job} block {count:,} processes, for up to {span(age)} in {name}{still}.", cause,
        (Action("kill_all", wanted, "kill"), Action("running", wanted, "show")),
    )  # fmt: skip


def frozen(case: Case) -> Iterator[Line]:
    """A process stands still, and no job is to blame."""
    for finding in find_frozen(case.view):
        if finding.is_broken:
            worst = max(finding.details["processes"].items(), key=lambda each: each[1])
            name = short_process(worst[0])
            yield Line(
                "frozen", Severity.STOPPED, "A process stands still", name,
                f"stands still for {tight(worst[1])}: stopped, or it hangs",
                sentence(finding.message), "", (Action("workers", worst[0], "show"),),
            )  # fmt: skip


def silent(case: Case) -> Iterator[Line]:
    """A process that holds jobs gives no sign of life."""
    for finding in find_silent(case.view):
        held = finding.details["held"]
        if not held:
            continue
        ages = finding.details["processes"]
        process, age = max(ages.items(), key=lambda each: each[1])
        left = GONE_SECONDS - age
        name = short_process(process)
        back = f"back in {left:.0f} s" if left > 0 else "going back"
        more = f" and {len(ages) - 1:,} more" if len(ages) > 1 else ""
        jobs = counted(held, "job")
        cause = (
            f"{'Its' if not more else 'Their'} {jobs} {'goes' if held == 1 else 'go'} back to the "
            f"queues in {left:.0f} s."
            if left > 0
            else ""
        )
        yield Line(
            "silent", Severity.SILENT, "A process is silent", name + more,
            f"silent for {tight(age)}; {jobs} {back}",
            sentence(finding.message.split("; it is given up")[0]), cause,
            (Action("workers", process, "show"), Action("ledger", "", "ledger")),
        )  # fmt: skip


def deaths(case: Case) -> Iterator[Line]:
    """Processes have died, as `gresque status` says; the line of a job that was to blame says so,
    too."""
    for finding in case.deaths:
        found = finding.details
        if found["poison"]:
            continue
        name, cause = short_process(found["process"]), found["cause"]
        count = counted(found["count"], "process", "processes")
        back = f" {counted(found['requeued'], 'job')} went back to the queues." * bool(
            found["requeued"]
        )
        yield Line(
            "deaths", Severity.STOPPED if finding.is_broken else Severity.LATE,
            "A process died" if found["count"] == 1 else "Processes die", "processes",
            f"{found['count']:,} died in 5m, the last one {name}: {printable(cause)}",
            f"{count} died in the last 5 minutes, the last one {name}.",
            sentence(printable(cause)) + back, (Action("ledger", "", "show"),),
        )  # fmt: skip


def full(case: Case) -> Iterator[Line]:
    """All threads of a worker have been taken for long, while jobs wait for it."""
    view = case.view
    late = {line.subject for line in behind(case)}
    for worker, since in case.full_since.items():
        age = view.at - since
        queues = [
            name
            for name, processes in view.servers.items()
            if any(worker_of(process.id) == worker for process in processes)
            and not view.look.flow.is_paused(name)
            # Processes of short jobs hold more than they have threads, and nothing waits for long.
            and ((waits := view.ages[name]) is None or waits >= WAITS_SECONDS)
        ]
        if age < FULL_SECONDS or not queues or any(printable(q) in late for q in queues):
            continue
        name = WorkerName.parse(worker)
        threads = name.worker_count * name.thread_count
        waiting = sum(view.waiting[queue] for queue in queues)
        shown = short_worker(worker)
        yield Line(
            "full", Severity.LATE, "All threads are taken", shown,
            f"all {threads:,} threads taken for {tight(age)}, {number(waiting)} wait",
            f"All {threads:,} threads of {shown} have been taken for {span(age)}; "
            f"{counted(waiting, 'job')} wait for it.",
            "", (Action("running", str(of_terms({"host": shown})), "running"),
                 Action("workers", worker, "workers")),
        )  # fmt: skip


def full_workers(view: View, before: Mapping[str, float]) -> dict[str, float]:
    """Since when all threads of each worker are taken; `before` is what a look a moment ago said.
    Processes of which nothing is known count for nothing."""
    threads: Counter[str] = Counter()
    taken: Counter[str] = Counter()
    for process in view.look.processes:
        worker = worker_and_pid(process.id)[0]
        name = worker_name(worker)
        if name is not None:
            threads[worker] += name.thread_count
            taken[worker] += min(process.held, name.thread_count)
    return {
        worker: before.get(worker, view.at)
        for worker, count in threads.items()
        if count and taken[worker] >= count
    }
