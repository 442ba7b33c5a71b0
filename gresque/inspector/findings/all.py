"""All findings, the worst first."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gresque.inspector.findings.blocked import blocked, frozen, slow_loops
from gresque.inspector.findings.delayed import overdue
from gresque.inspector.findings.failing import failing
from gresque.inspector.findings.finding import Finding
from gresque.inspector.findings.processes import (
    dead_others,
    deaths,
    silent,
    suspects,
    waiting_drains,
)
from gresque.inspector.findings.queues import behind, paused, unserved
from gresque.inspector.findings.retries import unknown
from gresque.inspector.findings.schedules import schedules
from gresque.inspector.findings.server import server
from gresque.inspector.findings.view import View

FINDINGS: tuple[Callable[[View], Iterable[Finding]], ...] = (
    server, blocked, frozen, silent, failing, unserved, overdue, behind, schedules, unknown,
    deaths, waiting_drains, paused, suspects, dead_others, slow_loops,
)  # fmt: skip
"""Each looks for one kind of trouble, in few round trips that do not grow with what waits or has
failed. To add one is to write such a function, and a line here: those before it are worse."""


def find_all(view: View) -> list[Finding]:
    """What is broken, then what is a warning; each in the order of `FINDINGS`."""
    return worst_first([finding for find in FINDINGS for finding in find(view)])


def worst_first(found: Iterable[Finding]) -> list[Finding]:
    """What is broken, then what is a warning; otherwise as they are."""
    return sorted(found, key=lambda finding: not finding.is_broken)
