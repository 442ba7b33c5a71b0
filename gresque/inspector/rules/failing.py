"""Rules about jobs that fail."""

from __future__ import annotations

from collections.abc import Iterator

from gresque.formats import number, rough, share, tight
from gresque.inspector.failing_classes import FEW, FailingClass
from gresque.inspector.filters import CLASS, WAITS, of_terms
from gresque.inspector.findings.failing import failing as find_failing
from gresque.inspector.findings.finding import Finding
from gresque.inspector.metrics import NOW_MINUTES, Mark
from gresque.inspector.rules.case import Case, sentence
from gresque.inspector.verdict import Action, Line, Severity
from gresque.text import counted, printable

FAILING_TIMES = 5
"""A class fails when it does so this much more often than before."""
FAILING_MOST = 0.5
"""A class that fails more often than that does so in any case."""
FAILING_FEW = 5
"""Attempts that failed; of fewer a share says nothing."""
MARK_SECONDS = 900.0
"""A mark is named when failures began within this time after it."""
POISON = "PoisonJob"
NO_FAULT = (POISON, "DirtyExit")


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
            and now >= FEW
            and (now >= FAILING_TIMES * each.share_before or now >= FAILING_MOST)
        ):
            yield _failing_more(case, each, count, next(iter(exceptions), "errors"))


def _failing_more(case: Case, each: FailingClass, count: int, exception: str) -> Line:
    age = max(case.view.at - each.since, 0.0)
    # What went well before the failures began says nothing of them.
    count = min(count, each.lately.failed_attempts)
    counted_for = min(age, 60.0 * NOW_MINUTES)
    name = printable(each.job)
    mark = _mark_before(case.marks, each.since)
    since = f", since {printable(mark.text)}" if mark is not None else ""
    for_long = age >= 60.0 * (NOW_MINUTES + 1)
    if for_long and not since:
        since = f", for {tight(age)} now"
    usual = (
        f"{share(each.before.failed_attempts, each.before.attempts)} before"
        if each.before.failed_attempts
        else "none before"
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
        f"{number(count)} {printable(exception)} in {_minutes(counted_for)}{since}",
        f"{name}: {number(count)} {printable(exception)} in {max(round(counted_for / 60), 1)} min, "
        f"{share(count, each.lately.attempts)} of its runs"
        f"{f', for {rough(age)} now' if for_long else ''}; {usual}.",
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
        sentence(finding.message), "", (Action("failed", wanted, "show"),),
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
        sentence(f"the last process died: {case.deaths[0].details['cause']}"),
        (Action("failed", wanted, "show"), Action("ledger", "", "ledger")),
    )  # fmt: skip


def _minutes(seconds: float) -> str:
    return f"{max(round(seconds / 60), 1)}m"
