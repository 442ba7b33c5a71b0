"""Says what a shutdown waits for."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Collection

from gresque.logs import fields
from gresque.master.child import Child
from gresque.text import counted

log = logging.getLogger("gresque.master")

SAY_SECONDS = 10.0
_MOST_CLASSES = 5


class DrainLog:
    """While jobs keep a master from its end it logs every ten seconds how many, and of which
    classes."""

    def __init__(self, cut_short_by: str = "TERM") -> None:
        """`cut_short_by`: the signal that puts the jobs back; TERM is a QUIT with GRACEFUL_TERM."""
        self._cut_short_by = cut_short_by
        self._since: float | None = None
        self._said_at = 0.0

    def check(self, children: Collection[Child], *, draining: bool) -> None:
        """Called in each turn of the master's loop that shuts down. `draining`: nothing but the
        ends of the jobs is waited for."""
        now = time.monotonic()
        if self._since is None:
            self._since = self._said_at = now
        if now - self._said_at < SAY_SECONDS:
            return
        self._said_at = now
        held = sum(child.held for child in children if child.kind.takes_jobs)
        if held > 0:
            remedy = f"; {self._cut_short_by} puts them back" if draining else ""
            _say(held, _classes(children), now - self._since, remedy)


def _classes(children: Collection[Child]) -> Counter[str]:
    found: Counter[str] = Counter()
    for child in children:
        if child.kind.takes_jobs:
            found.update(child.row.waits.read())
    return found


def _say(held: int, classes: Counter[str], seconds: float, remedy: str) -> None:
    parts = [f"{count:,} × {name}" for name, count in classes.most_common(_MOST_CLASSES)]
    others = held - sum(count for _, count in classes.most_common(_MOST_CLASSES))
    if others > 0 and parts:
        parts.append(f"{others:,} of other classes")
    log.info(
        "waiting for %s since %d s%s%s",
        counted(held, "job"),
        seconds,
        f": {', '.join(parts)}" if parts else "",
        remedy,
        extra=fields("drain_waits", count=held, seconds=round(seconds), jobs=dict(classes) or None),
    )
