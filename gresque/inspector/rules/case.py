"""What the rules of the verdict look at, and how they speak."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from gresque.inspector.failing_classes import FailingClass
from gresque.inspector.findings.finding import Finding
from gresque.inspector.findings.processes import deaths as find_deaths
from gresque.inspector.findings.view import View
from gresque.inspector.metrics import Mark


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


def sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!")) else ".")
