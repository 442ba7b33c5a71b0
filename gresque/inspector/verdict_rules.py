"""The rules of the verdict. Each looks for one kind of trouble; those before it are worse."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from gresque.inspector.findings.server import server as find_server
from gresque.inspector.rules.case import Case, sentence
from gresque.inspector.rules.failing import failing, poison
from gresque.inspector.rules.processes import (
    blocked,
    deaths,
    frozen,
    full,
    full_workers,
    silent,
)
from gresque.inspector.rules.queues import behind, entries, overdue, unserved
from gresque.inspector.verdict import Action, Line, Severity, Verdict, verdict_of
from gresque.text import printable


def redis(case: Case) -> Iterator[Line]:
    """Redis is full, takes no writes, or is a replica."""
    for finding in find_server(case.view):
        if finding.is_broken:
            yield Line(
                "redis", Severity.STOPPED, "Redis is in danger", "Redis",
                finding.message.removeprefix("Redis "), sentence(finding.message), "",
                (Action("redis", "", "show"),),
            )  # fmt: skip


EACH_SECOND: tuple[Callable[[Case], Iterable[Line]], ...] = (
    blocked, redis, frozen, silent, failing, behind, unserved, full,
)  # fmt: skip
"""They read little or nothing beside the snapshot."""
NOW_AND_THEN: tuple[Callable[[Case], Iterable[Line]], ...] = (
    poison, overdue, entries, deaths,
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
        sentence(printable(reason)), "What is shown is what it said last.",
        (Action("redis", "", "show"),),
    )  # fmt: skip
