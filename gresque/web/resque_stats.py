"""What `/stats.txt` answers: the numbers of Resque's page of this name, line by line."""

from __future__ import annotations

from collections.abc import Mapping

from gresque.store.stats import Summary
from gresque.text import printable

CONTENT_TYPE = "text/plain; charset=utf-8"


def render(found: Summary, sizes: Mapping[str, int]) -> str:
    """As Resque's server writes them: counters with `+=`, and a line for each queue, here with its
    control characters as escapes. `working` are running jobs, where Resque counts workers that run
    their one job."""
    lines = [
        f"resque.pending={found.pending}",
        f"resque.processed+={found.processed}",
        f"resque.failed+={found.failed}",
        f"resque.workers={found.workers}",
        f"resque.working={found.in_flight}",
        *(f"queues.{printable(name)}={size}" for name, size in sizes.items()),
    ]
    return "\n".join(lines)
