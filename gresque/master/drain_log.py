"""Says for which jobs a shutdown waits, and the replacement of the processes after a HUP."""

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
_MOST_PIDS = 5


class DrainLog:
    """While jobs keep processes from their end it logs every ten seconds how many, and of which
    classes."""

    def __init__(self, cut_short_by: str = "TERM") -> None:
        """`cut_short_by`: the signal that puts the jobs back; TERM is a QUIT with GRACEFUL_TERM."""
        self._cut_short_by = cut_short_by
        self._since = 0.0
        self._said_at: float | None = None

    def begin(self) -> None:
        """Processes are to leave from now on."""
        self._since = self._said_at = time.monotonic()

    def check(self, children: Collection[Child], *, stopping: bool, draining: bool) -> None:
        """To be called again and again. `draining`: the shutdown waits for nothing but
        the ends of the jobs. Without `stopping` those are meant that others take the places of."""
        if self._said_at is None or time.monotonic() - self._said_at < SAY_SECONDS:
            return
        self._said_at = time.monotonic()
        leaving = [child for child in children if child.kind.takes_jobs]
        if not stopping:
            if not any(child.outdated for child in leaving):
                self._said_at = None
                return
            leaving = [child for child in leaving if child.quitting and child.held]
        held = sum(child.held for child in leaving)
        if held > 0:
            seconds = time.monotonic() - self._since
            remedy = self._remedy(leaving, stopping=stopping, draining=draining)
            _say(held, _classes(leaving), seconds, remedy)

    def _remedy(self, leaving: Collection[Child], *, stopping: bool, draining: bool) -> str:
        if stopping:
            return f"; {self._cut_short_by} puts them back" if draining else ""
        pids = [str(child.pid) for child in leaving]
        where = counted(len(pids), "process that is replaced", "processes that are replaced")
        if len(pids) > _MOST_PIDS:
            return f"; in {where}"
        return f"; in {where}: kill -{self._cut_short_by} {' '.join(pids)} puts them back"


def _classes(children: Collection[Child]) -> Counter[str]:
    found: Counter[str] = Counter()
    for child in children:
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
