"""Jobs that wait for a worker that knows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from gresque.client.delayed import DelayedJobs
from gresque.clock import duration
from gresque.inspector.findings.finding import Finding, Level
from gresque.inspector.findings.view import View
from gresque.inspector.retries import read_retry
from gresque.text import counted, printable, shell

LOOKED_AT = 20
"""Jobs of `later` that are looked at: one whose code is missing is due within 5 s."""


def unknown(view: View) -> Iterator[Finding]:
    """Names that no worker knows that took such a job, by the jobs that are due next."""
    waiting = DelayedJobs(view.store).own_page(0, LOOKED_AT)
    found = [each for job in waiting if (each := read_retry(job)) is not None]
    missing = [each for each in found if each.unknown_since is not None]
    for name, count in Counter(each.name for each in missing).most_common():
        since = min(each.unknown_since or view.at for each in missing if each.name == name)
        jobs = f"{counted(count, 'job')} {'waits' if count == 1 else 'wait'}"
        message = (
            f"no worker knows {name}: {jobs} for its code, for {duration(max(view.at - since, 0))}"
        )
        yield Finding(
            Level.WARNING,
            "unknown",
            printable(message),
            (shell("gresque", "retries", "--class", name or ""),),
            {"class": name, "count": count, "since": since},
        )
