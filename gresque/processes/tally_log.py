"""Logs the numbers of ends that worker processes counted and did not log."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from gresque.logs import fields
from gresque.processes.scoreboard import Row
from gresque.processes.tallies import FAILED, PUT_BACK, RETRIED, UNKNOWN, WINDOW_SECONDS, Tally
from gresque.text import counted, shell

log = logging.getLogger("gresque.job")

LOOK_SECONDS = 1.0


@dataclass
class _Pending:
    """Ends of one kind that no line has named yet."""

    since: float
    last: Tally
    count: int = 0


class TallyLog:
    """In the master, and in a process whose master is gone: sums what rows of the scoreboard count,
    by kind, and logs each sum after ten seconds, and at the end. With -v the processes log each end
    themselves."""

    def __init__(self, rows: Sequence[Row], *, from_now: bool = False) -> None:
        """`from_now`: what was counted so far was another one's to log."""
        self._rows = rows
        self._read: dict[tuple[int, int], tuple[int, int]] = {}
        """Row and place -> the key there, and how many of its count are in a line, or in
        `_pending`."""
        self._pending: dict[int, _Pending] = {}
        self._look_at = 0.0
        self._verbose = log.isEnabledFor(logging.DEBUG)
        if from_now:
            self._collect(time.monotonic())
            self._pending.clear()

    def check(self) -> None:
        """To be called again and again; it looks once a second."""
        now = time.monotonic()
        if now >= self._look_at and not self._verbose:
            self._look_at = now + LOOK_SECONDS
            self._collect(now)
            self._write(now, WINDOW_SECONDS)

    def finish(self) -> None:
        """Nothing is counted any more."""
        if not self._verbose:
            now = time.monotonic()
            self._collect(now)
            self._write(now, 0.0)

    def _collect(self, now: float) -> None:
        for number, row in enumerate(self._rows):
            for place, tally in row.tallies.read():
                key, before = self._read.get((number, place), (0, 0))
                if key != tally.key or tally.counted < before:
                    before = 0  # a new entry in the same place counts from 0
                more = tally.counted - before
                if not more:
                    continue
                self._read[number, place] = tally.key, tally.counted
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
    job_id = each.last.last_id
    has_entry = label[0] == FAILED and job_id
    log.warning(
        "… %s more %s; the last one: %s",
        f"{each.count:,}",
        _of_which(each, label, seconds),
        shell("gresque", "failed", "show", job_id) if has_entry else job_id or "without id",
        extra=fields(
            "jobs_failed",
            count=each.count,
            seconds=seconds,
            job_id=job_id or None,
            **_names(each, label),
        ),
    )


def _log_retried(each: _Pending, label: Sequence[str], seconds: int) -> None:
    log.info(
        "… %s %s; see gresque retries",
        counted(each.count, "more attempt"),
        _of_which(each, label, seconds),
        extra=fields("jobs_retried", count=each.count, seconds=seconds, **_names(each, label)),
    )


def _of_which(each: _Pending, label: Sequence[str], seconds: int) -> str:
    if _is_mixed(each):
        return f"of other kinds in the last {seconds} s"
    _, job, exception, frame = label[:4]
    place = f" at {frame}" if frame else ""
    what = f"{job or 'an item that is no job'}: {exception}{place}"
    return f"like it in the last {seconds} s: {what}"


def _names(each: _Pending, label: Sequence[str]) -> dict[str, str | None]:
    if _is_mixed(each):
        return {}
    return {"job": label[1], "exception": label[2], "frame": label[3] or None}


def _is_mixed(each: _Pending) -> bool:
    """Of ends that had no room for entries of their own."""
    return len(each.last.label) == 1


def _log_back(each: _Pending, label: Sequence[str]) -> None:
    _, job, queue = label[:3]
    if _is_mixed(each):
        log.info(
            "%s × other classes back in their queues",
            f"{each.count:,}",
            extra=fields("jobs_put_back", count=each.count),
        )
        return
    log.info(
        "%s × %s back in %s",
        f"{each.count:,}",
        job or "an item that is no job",
        queue,
        extra=fields("jobs_put_back", count=each.count, job=job, queue=queue),
    )
