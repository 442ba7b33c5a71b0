"""The rules of the verdict. Each looks for one kind of trouble; those before it are worse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from gresque.formats import number, share, tight
from gresque.inspector.filters import CLASS, WAITS, of_terms
from gresque.inspector.findings.blocked import blocked as find_blocked
from gresque.inspector.findings.blocked import frozen as find_frozen
from gresque.inspector.findings.delayed import overdue as find_overdue
from gresque.inspector.findings.failing import failing as find_failing
from gresque.inspector.findings.finding import Finding
from gresque.inspector.findings.processes import deaths as find_deaths
from gresque.inspector.findings.processes import silent as find_silent
from gresque.inspector.findings.queues import unserved as find_unserved
from gresque.inspector.findings.schedules import schedules as find_schedules
from gresque.inspector.findings.server import server as find_server
from gresque.inspector.findings.view import View
from gresque.inspector.metrics import FailingClass, Mark
from gresque.inspector.names import worker_and_pid, worker_name
from gresque.inspector.verdict import Action, Line, Severity, Verdict, verdict_of
from gresque.inspector.workers import GONE_SECONDS
from gresque.processes.identity import WorkerName, worker_of
from gresque.processes.short_names import short_process, short_worker
from gresque.text import counted, printable

FAILING_SHARE = 0.05
FAILING_TIMES = 5
"""A class fails when it does so this much more often than in the hour before."""
FAILING_FEW = 5
"""Attempts that failed; of fewer a share says nothing."""
MARK_SECONDS = 900.0
"""A mark is named when failures began within this time after it."""
BEHIND_SECONDS = 60.0
FULL_SECONDS = 30.0
WAITS_SECONDS = 10.0
RESPAWNS = 3
POISON = "PoisonJob"
NO_FAULT = (POISON, "DirtyExit")


@dataclass(frozen=True)
class Case:
    """What the rules look at. `failing` is None where no metrics are kept; `full_since` says since
    when all threads of a worker are taken. `waits_of` counts on what the running jobs of a class
    wait."""

    view: View
    failing: list[FailingClass] | None = None
    marks: tuple[Mark, ...] = ()
    full_since: Mapping[str, float] = field(default_factory=dict)
    waits_of: Callable[[str], Counter[str]] = lambda job: Counter()

    @cached_property
    def deaths(self) -> list[Finding]:
        return [*find_deaths(self.view)]


def blocked(case: Case) -> Iterator[Line]:
    """A job keeps the others of its process from running."""
    for finding in find_blocked(case.view):
        found = finding.details
        stack = found["stack"]
        cause = f"It stands in {printable(stack[0])}." if stack else ""
        of_class = _blocks_one if len(found["processes"]) == 1 else _blocks_several
        yield of_class(found, tight(found["seconds"]), cause)


def _blocks_one(found: Mapping[str, Any], age: str, cause: str) -> Line:
    others, job_id = found["neighbours"], str(found["id"])
    name = short_process(found["processes"][0])
    waits = f", {number(others)} {'waits' if others == 1 else 'wait'}" if others else ""
    still = f"; {counted(others, 'other job')} of it stand still" if others > 1 else ""
    still = "; 1 other job of it stands still" if others == 1 else still
    return Line(
        "blocked", Severity.STOPPED, "A job blocks its process", name,
        f"{printable(found['class'])} blocks its process {age}{waits}",
        f"{printable(found['label'])} has blocked {name} for {age}{still}.", cause,
        (Action("kill", job_id, "kill"), Action("stack", job_id, "stack")),
    )  # fmt: skip


def _blocks_several(found: Mapping[str, Any], age: str, cause: str) -> Line:
    others, count = found["neighbours"], len(found["processes"])
    job, name = printable(found["class"]), short_process(found["processes"][0])
    waits = f", {number(others)} wait" if others else ""
    still = f"; {number(others)} other jobs stand still" if others else ""
    wanted = str(of_terms({CLASS: str(found["class"])}))
    return Line(
        "blocked", Severity.STOPPED, "Jobs block their processes", job,
        f"blocks {count:,} processes up to {age}{waits}",
        f"Jobs of {job} block {count:,} processes, for up to {age} in {name}{still}.", cause,
        (Action("kill_all", wanted, "kill"), Action("running", wanted, "show")),
    )  # fmt: skip


def redis(case: Case) -> Iterator[Line]:
    """Redis is full, takes no writes, or is a replica."""
    for finding in find_server(case.view):
        if finding.is_broken:
            yield Line(
                "redis", Severity.STOPPED, "Redis is in danger", "Redis",
                _without(finding.message, "Redis "), _sentence(finding.message), "",
                (Action("redis", "", "show"),),
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
                _sentence(finding.message), "", (Action("workers", worst[0], "show"),),
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
            _sentence(finding.message.split("; it is given up")[0]), cause,
            (Action("workers", process, "show"), Action("ledger", "", "ledger")),
        )  # fmt: skip


def failing(case: Case) -> Iterator[Line]:
    """A class fails far more often than before; without metrics, one that fails often now."""
    if case.failing is None:
        for finding in find_failing(case.view):
            if finding.is_broken and POISON not in finding.details["exceptions"]:
                yield _failing_now(finding)
        return
    for each in case.failing:
        # Kills and deaths of processes are no fault of a class, and said elsewhere.
        exceptions = {name: n for name, n in each.exceptions.items() if name not in NO_FAULT}
        apart = sum(n for name, n in each.exceptions.items() if name in NO_FAULT)
        count = max(each.now.failed_attempts - apart, 0)
        now = count / max(each.now.attempts, 1)
        if (
            count >= FAILING_FEW
            and now >= FAILING_SHARE
            and now >= FAILING_TIMES * each.share_before
        ):
            yield _failing_more(case, each, count, next(iter(exceptions), "errors"))


def _failing_more(case: Case, each: FailingClass, count: int, exception: str) -> Line:
    age = max(case.view.at - each.since, 0.0)
    name = printable(each.job)
    mark = _mark_before(case.marks, each.since)
    since = f", since {printable(mark.text)}" if mark is not None else ""
    usual = (
        f"{share(each.before.failed_attempts, each.before.attempts)} in the hour before"
        if each.before.failed_attempts
        else "none in the hour before"
    )
    causes = [f"It began after {printable(mark.text)}."] if mark is not None else []
    wanted = {CLASS: each.job}
    waits = case.waits_of(each.job).most_common(1)
    actions = [Action("failed", str(of_terms(wanted)), "show")]
    if waits:
        address, jobs = waits[0]
        causes.append(f"{counted(jobs, 'running job')} of it wait on {printable(address)}.")
        actions.append(Action("running", str(of_terms(wanted | {WAITS: address})), "running"))
    queue = next(iter(each.queues), "")
    if queue:
        actions.append(Action("pause", queue, "pause"))
    return Line(
        "failing", Severity.FAILING, "Failures surge", name,
        f"{number(count)} {printable(exception)} in {_minutes(age)}{since}",
        f"{name}: {number(count)} {printable(exception)} in {_minutes(age)}, "
        f"{share(count, each.now.attempts)} of its runs; {usual}.",
        " ".join(causes), tuple(actions),
    )  # fmt: skip


def _failing_now(finding: Finding) -> Line:
    found = finding.details
    exception = printable(next(iter(found["exceptions"]), "errors"))
    job = found["class"]
    wanted = str(of_terms({CLASS: job})) if job else ""
    return Line(
        "failing", Severity.FAILING, "Jobs fail", printable(job or "jobs of many classes"),
        f"{number(found['count'])} {exception} in {_minutes(found['seconds'])}",
        _sentence(finding.message), "", (Action("failed", wanted, "show"),),
    )  # fmt: skip


def _mark_before(marks: tuple[Mark, ...], since: float) -> Mark | None:
    """Failures are counted by the minute, so a mark within it may be before them."""
    before = [m for m in marks if m.kind == "mark" and -60 < since - m.at < MARK_SECONDS]
    return before[-1] if before else None


def poison(case: Case) -> Iterator[Line]:
    """Jobs were failed because their processes died under them."""
    count = sum(each.details["poison"] for each in case.deaths)
    if not count:
        return
    jobs = [f for f in find_failing(case.view) if POISON in f.details["exceptions"]]
    names = [printable(each.details["class"]) for each in jobs if each.details["class"]]
    subject = names[0] if names else "a job"
    wanted = str(of_terms({"exception": POISON}))
    yield Line(
        "poison", Severity.FAILING, "A job takes its process along", subject,
        f"killed its processes and was failed as {POISON}, {counted(count, 'time')} in 5m",
        f"{subject} was failed as {POISON} {counted(count, 'time')} in 5 min: several processes "
        "died while they ran it.",
        _sentence(f"the last process died: {case.deaths[0].details['cause']}"),
        (Action("failed", wanted, "show"), Action("ledger", "", "ledger")),
    )  # fmt: skip


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
            f"{shown}: the oldest of {number(view.waiting[name])} has waited for {tight(age)}; "
            f"{more} a second more come than go.",
            _sentence(reason) if reason else "", actions,
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
                _sentence(finding.message), "", (Action("workers", "", "show"),),
            )  # fmt: skip
            continue
        age = found["oldest_seconds"]
        waits = f", the oldest {tight(age)}" if age is not None else ""
        yield Line(
            "unserved", Severity.LATE, "Nobody works a queue", printable(name),
            f"is worked by nobody: {number(found['waiting'])} wait{waits}",
            _sentence(finding.message), "", (Action("queue", name, "queue"),),
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
            f"All {threads:,} threads of {shown} have been taken for {tight(age)}; "
            f"{counted(waiting, 'job')} wait for it.",
            "", (Action("running", str(of_terms({"host": shown})), "running"),
                 Action("workers", worker, "workers")),
        )  # fmt: skip


def overdue(case: Case) -> Iterator[Line]:
    """Jobs whose time has come still wait for it."""
    for finding in find_overdue(case.view):
        late = finding.details["late_seconds"]
        count = finding.details.get("jobs") or finding.details.get("seconds")
        yield Line(
            "overdue", Severity.LATE, "Scheduled jobs are late", "scheduled jobs",
            f"are up to {tight(late)} late, {number(count)} of them",
            _sentence(finding.message), "", (Action("delayed", "", "show"),),
        )  # fmt: skip


def entries(case: Case) -> Iterator[Line]:
    """Entries of the schedule that do not run."""
    for finding in find_schedules(case.view):
        if finding.is_broken:
            yield Line(
                "cron", Severity.LATE, "An entry of the schedule does not run", "schedule",
                _without(finding.message, "schedule "), _sentence(finding.message), "",
                (Action("cron", "", "show"),),
            )  # fmt: skip


def respawning(case: Case) -> Iterator[Line]:
    """Processes die one after the other."""
    for finding in case.deaths:
        count = finding.details["last_minute"]
        if count < RESPAWNS:
            continue
        name, cause = short_process(finding.details["process"]), finding.details["cause"]
        yield Line(
            "respawning", Severity.LATE, "Processes die", "processes",
            f"{count:,} died in 1m, the last one {name}: {printable(cause)}",
            f"{count:,} processes died in the last minute, the last one {name}.",
            _sentence(printable(cause)), (Action("ledger", "", "show"),),
        )  # fmt: skip


EACH_SECOND: tuple[Callable[[Case], Iterable[Line]], ...] = (
    blocked, redis, frozen, silent, failing, behind, unserved, full,
)  # fmt: skip
"""They read little or nothing beside the snapshot."""
NOW_AND_THEN: tuple[Callable[[Case], Iterable[Line]], ...] = (
    poison, overdue, entries, respawning,
)  # fmt: skip
"""They take a round trip each."""
NOW_AND_THEN_SECONDS = 2.0


class Judge:
    """Applies the rules to one look after the other; one thread calls it."""

    def __init__(self) -> None:
        self._full_since: dict[str, float] = {}
        self._lines: list[Line] = []
        self._next_at = 0.0

    def forget(self) -> None:
        """Before the first look after a pause."""
        self._full_since, self._next_at = {}, 0.0

    def verdict(self, case: Case, calm: str) -> Verdict:
        self._full_since = full_workers(case.view, self._full_since)
        case = replace(case, full_since=self._full_since)
        if case.view.at >= self._next_at:
            self._next_at = case.view.at + NOW_AND_THEN_SECONDS
            self._lines = [line for rule in NOW_AND_THEN for line in rule(case)]
        return verdict_of([line for rule in EACH_SECOND for line in rule(case)] + self._lines, calm)


def away(reason: str) -> Line:
    """Redis does not answer."""
    return Line(
        "away", Severity.STOPPED, "Redis is away", "Redis",
        f"is away: {printable(reason).removeprefix('no answer from Redis at ')}",
        _sentence(printable(reason)), "What is shown is what it said last.",
        (Action("redis", "", "show"),),
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


def _minutes(seconds: float) -> str:
    return f"{max(round(seconds / 60), 1)}m"


def _without(message: str, beginning: str) -> str:
    return message.removeprefix(beginning)


def _sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!")) else ".")
