"""What the jobs of chaos.py noted, and what it says about them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

CHAOS_DELAY = 0.3
"""Of chaos_jobs.py: seconds from a failure to the next attempt."""


class Note(NamedTuple):
    """What a job noted: "start" or "end", its key, its process, when (monotonic)."""

    event: str
    key: str
    pid: int
    at: float


def notes_of(text: str) -> list[Note]:
    return [
        Note(event, key, int(pid), float(at))
        for event, key, pid, at in map(str.split, text.splitlines())
    ]


def longest_silence(notes: Sequence[Note], since: float, until: float) -> float:
    """Seconds in which no job ended, at most, between these times (monotonic)."""
    ends = sorted(note.at for note in notes if note.event == "end" and since < note.at < until)
    return max(later - sooner for sooner, later in pairwise([since, *ends, until]))


def early(lines: Sequence[Note], delayed: Mapping[str, float]) -> int:
    """Jobs that started before their time: delayed ones, key -> when each is due, and attempts
    after a failure."""
    due = dict(delayed)
    for line in lines:
        if line.event == "failed":
            key, _, attempt = line.key.partition("#")
            due.setdefault(f"{key}#{int(attempt) + 1}", line.at + CHAOS_DELAY)
    # The notes have ten thousandths of a second.
    starts = (line for line in lines if line.event == "start" and line.key in due)
    return sum(line.at < due[line.key] - 0.0002 for line in starts)


def longest_recovery(lines: Sequence[Note], killed_at: Mapping[int, float]) -> float:
    """From the kill that interrupted a job, or if there was none from its start, until it was
    running again. `killed_at`: pid of a worker process -> when."""
    runs: defaultdict[str, list[Note]] = defaultdict(list)
    for line in lines:
        if line.event == "start":
            runs[line.key].append(line)
    waits = [
        again.at - killed_at.get(first.pid, first.at)
        for starts in runs.values()
        for first, again in pairwise(starts)
    ]
    return max(waits, default=0.0)


def sentence(result: dict[str, Any]) -> str:
    """What has happened, in words."""
    return (
        "{jobs:,} jobs ({jobs_that_fork:,} fork, {retried:,} fail twice first, {delayed:,} are "
        "delayed) in {seconds:.0f} s, {processes} processes, "
        "{masters} masters and the server "
        "{servers} times killed, its clock set {clock_steps} times: {lost} lost, {early} early, "
        "{ticks_lost} of {ticks} ticks lost, "
        "{run_twice_or_more} run twice of {held_at_kills} held at the kills, {failed} failed, "
        "{fail_overs} replicas promoted ({forgotten} enqueues forgotten, {reserved_in_lags} jobs "
        "held or reserved meanwhile), "
        "longest recovery {longest_recovery_seconds} s; {most_at_once} jobs of the capped queue at "
        "once, {pauses} pauses, {triggers_lost} of {triggers} triggers lost, {locks_left} locks "
        "and {counts_left} counts left"
    ).format(**result, **result["killed"])
