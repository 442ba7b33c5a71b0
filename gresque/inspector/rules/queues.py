"""Rules about queues, and about jobs whose time has come."""

from __future__ import annotations

from collections.abc import Iterator

from gresque.formats import number, span, tight
from gresque.inspector.filters import of_terms
from gresque.inspector.findings.delayed import overdue as find_overdue
from gresque.inspector.findings.queues import unserved as find_unserved
from gresque.inspector.findings.schedules import schedules as find_schedules
from gresque.inspector.rules.case import Case, sentence
from gresque.inspector.verdict import Action, Line, Severity
from gresque.processes.identity import WorkerName, worker_of
from gresque.text import counted, printable

BEHIND_SECONDS = 60.0


def behind(case: Case) -> Iterator[Line]:
    """A queue is late and grows."""
    view = case.view
    for name in view.waiting:
        age, growth = view.ages[name], view.growth(name)
        if age is None or age < BEHIND_SECONDS or growth <= 0 or name not in view.served:
            continue
        why, reason, actions = _why_behind(case, name)
        more = f"{growth:,.0f}" if growth >= 1 else "under 1"
        shown = printable(name)
        yield Line(
            "behind", Severity.LATE, "A queue falls behind", shown,
            f"is {tight(age)} behind and grows by {more}/s{f': {why}' if why else ''}",
            f"{shown}: the oldest of {number(view.waiting[name])} has waited for {span(age)}; "
            f"{more} a second more come than go.",
            sentence(reason) if reason else "", actions,
        )  # fmt: skip


def _why_behind(case: Case, name: str) -> tuple[str, str, tuple[Action, ...]]:
    view = case.view
    flow, policy = view.look.flow, view.look.flow.policy(name)
    show = Action("queue", name, "queue")
    if flow.all_paused:
        return "all are paused", "all queues are paused", (Action("unpause", "", "unpause"), show)
    if policy.paused:
        return "paused", "it is paused", (Action("unpause", name, "unpause"), show)
    if policy.cap is not None and flow.is_full(name):
        reason = f"its cap of {policy.cap:,} holds it: {flow.in_flight.get(name, 0):,} run"
        return f"its cap is {policy.cap:,}", reason, (Action("limit", name, "raise"), show)
    if policy.rate is not None and flow.next_in(name):
        rate = policy.rate.text
        return f"its rate is {rate}", f"its rate of {rate} holds it", (
            Action("limit", name, "raise"), show,
        )  # fmt: skip
    wanted = Action("running", str(of_terms({"queue": name})), "running")
    threads, taken = _threads(case, name)
    if threads and taken >= threads:
        reason = f"all {counted(threads, 'thread')} that serve it are taken"
        return f"all {threads:,} threads taken", reason, (wanted, show)
    return "", "", (show, wanted)


def _threads(case: Case, queue: str) -> tuple[int, int]:
    """Of the processes that serve a queue, and how many of them are taken."""
    threads = taken = 0
    for process in case.view.servers.get(queue, ()):
        count = WorkerName.parse(worker_of(process.id)).thread_count
        threads += count
        taken += min(process.held, count)
    return threads, taken


def unserved(case: Case) -> Iterator[Line]:
    """A queue that nobody works."""
    for finding in find_unserved(case.view):
        if not finding.is_broken:
            continue
        found = finding.details
        name = found.get("queue")
        if name is None:
            count = sum(found["queues"].values())
            yield Line(
                "unserved", Severity.LATE, "No worker runs", "no worker",
                f"runs: {counted(count, 'job')} in {counted(len(found['queues']), 'queue')}",
                sentence(finding.message), "", (Action("workers", "", "show"),),
            )  # fmt: skip
            continue
        age = found["oldest_seconds"]
        waits = f", the oldest {tight(age)}" if age is not None else ""
        yield Line(
            "unserved", Severity.LATE, "Nobody works a queue", printable(name),
            f"is worked by nobody: {number(found['waiting'])} wait{waits}",
            sentence(finding.message), "", (Action("queue", name, "queue"),),
        )  # fmt: skip


def overdue(case: Case) -> Iterator[Line]:
    """Jobs whose time has come still wait for it."""
    for finding in find_overdue(case.view):
        late = finding.details["late_seconds"]
        count = finding.details.get("jobs") or finding.details.get("seconds")
        yield Line(
            "overdue", Severity.LATE, "Scheduled jobs are late", "scheduled jobs",
            f"are up to {tight(late)} late, {number(count)} of them",
            sentence(finding.message), "", (Action("delayed", "", "show"),),
        )  # fmt: skip


def entries(case: Case) -> Iterator[Line]:
    """Entries of the schedule that do not run."""
    for finding in find_schedules(case.view):
        if finding.is_broken:
            yield Line(
                "cron", Severity.LATE, "An entry of the schedule does not run", "schedule",
                finding.message.removeprefix("schedule "), sentence(finding.message), "",
                (Action("cron", "", "show"),),
            )  # fmt: skip
