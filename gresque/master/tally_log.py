"""Logs the numbers of ends that its children counted and did not log."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from gresque.logs import fields
from gresque.processes.scoreboard import Row
from gresque.processes.tallies import FAILED, PUT_BACK, RETRIED, UNKNOWN, WINDOW_SECONDS, Tally

log = logging.getLogger("gresque.job")

LOOK_SECONDS = 1.0


@dataclass
class _Pending:
    """Ends of one kind that no line has named yet."""

    since: float
    last: Tally
    count: int = 0


class TallyLog:
    """Sums what the rows of the scoreboard count, by kind, and logs each sum after ten seconds, and
    when the master ends. With -v the processes log each end themselves."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        self._read: dict[tuple[int, int, int], int] = {}
        """Row, place and key -> how many of its count are in a line, or in `_pending`."""
        self._pending: dict[int, _Pending] = {}
        self._look_at = 0.0
        self._verbose = log.isEnabledFor(logging.DEBUG)

    def check(self) -> None:
        """Called in each turn of the master's loop; it looks once a second."""
        now = time.monotonic()
        if now >= self._look_at and not self._verbose:
            self._look_at = now + LOOK_SECONDS
            self._collect(now)
            self._write(now, WINDOW_SECONDS)

    def finish(self) -> None:
        """The last child is gone."""
        if not self._verbose:
            now = time.monotonic()
            self._collect(now)
            self._write(now, 0.0)

    def _collect(self, now: float) -> None:
        for number, row in enumerate(self._rows):
            for place, tally in row.tallies.read():
                where = number, place, tally.key
                before = self._read.get(where, 0)
                # A new entry in the same place counts from 0.
                more = tally.counted - before if tally.counted >= before else tally.counted
                if not more:
                    continue
                self._read[where] = tally.counted
                since = max(tally.since, now - WINDOW_SECONDS)
                pending = self._pending.setdefault(tally.key, _Pending(since, tally))
                pending.count += more
                pending.last = max(pending.last, tally, key=lambda each: each.at)

    def _write(self, now: float, after_seconds: float) -> None:
        due = [key for key, each in self._pending.items() if now - each.since >= after_seconds]
        found = [self._pending.pop(key) for key in due]
        for each in sorted(found, key=lambda each: -each.count):
            label = [*each.last.label, "", "", ""]
            if label[0] == UNKNOWN:
                continue  # the name is logged, and the jobs are listed by `gresque retries`
            if label[0] == RETRIED:
                _log_retried(each, label, max(1, round(now - each.since)))
            elif label[0] != PUT_BACK:
                _log_failed(each, label, max(1, round(now - each.since)))
            else:
                _log_back(each, label)


def _log_failed(each: _Pending, label: Sequence[str], seconds: int) -> None:
    kind, job, exception, frame = label[:4]
    job_id = each.last.last_id
    last = f"gresque failed show {job_id}" if kind == FAILED and job_id else job_id or "without id"
    log.warning(
        "… %s more like it in the last %d s: %s: %s%s; the last one: %s",
        f"{each.count:,}",
        seconds,
        job or "an item that is no job",
        exception,
        f" at {frame}" if frame else "",
        last,
        extra=fields(
            "jobs_failed",
            count=each.count,
            seconds=seconds,
            job=job,
            exception=exception,
            frame=frame or None,
            job_id=job_id or None,
        ),
    )


def _log_retried(each: _Pending, label: Sequence[str], seconds: int) -> None:
    _, job, exception, frame = label[:4]
    log.info(
        "… %s more attempts like it in the last %d s: %s: %s%s; see gresque retries",
        f"{each.count:,}",
        seconds,
        job,
        exception,
        f" at {frame}" if frame else "",
        extra=fields(
            "jobs_retried",
            count=each.count,
            seconds=seconds,
            job=job,
            exception=exception,
            frame=frame or None,
        ),
    )


def _log_back(each: _Pending, label: Sequence[str]) -> None:
    _, job, queue = label[:3]
    log.info(
        "%s × %s back in %s",
        f"{each.count:,}",
        job or "an item that is no job",
        queue,
        extra=fields("jobs_put_back", count=each.count, job=job, queue=queue),
    )
