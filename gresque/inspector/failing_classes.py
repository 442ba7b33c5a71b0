"""Classes that fail now, and how they did before. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gresque.inspector.pair_counts import PairCounts, by_job, pairs_of, sum_of
from gresque.store.metric_fields import Counts, field

FEW = 0.05
"""A share of attempts that fail."""
MOST_PAUSE = 5
"""Minutes without attempts within one row of failures."""
_KINDS = {b"d|": 0, b"f|": 1, b"r|": 2}
"""The beginnings of fields, and the places of their numbers in Counts."""


@dataclass(frozen=True)
class FailingClass:
    """A class with attempts that failed in the last minutes (`now`), and what it did `before`.
    `exceptions` and `queues` count the attempts that failed now, the most frequent first. `since`
    is the beginning of the first of the minutes up to now in each of which FEW of them or more
    failed. `before` are the minutes before both `since` and `now`: an incident that goes on does
    not become usual by that. Where the class did nothing then, they are all before `now`."""

    job: str
    now: Counts
    before: Counts
    exceptions: dict[str, int]
    queues: dict[str, int]
    since: float
    lately: Counts
    """Of the minutes of `now` those from `since` on."""

    @property
    def share(self) -> float:
        """Of all attempts now those that failed, from 0 to 1."""
        return self.now.failed_attempts / max(self.now.attempts, 1)

    @property
    def share_before(self) -> float:
        return self.before.failed_attempts / max(self.before.attempts, 1)


def failing_in(
    hashes: Sequence[dict[bytes, int]], start: float, now_minutes: int
) -> list[FailingClass]:
    """The classes that fail in the last of these minutes, those with the most failed attempts
    first. `start` is the beginning of the first hash, in epoch seconds."""
    now = by_job(pairs_of(hashes[-now_minutes:]))
    failing = {job for job, pairs in now.items() if any(p.counts.failed_attempts for p in pairs)}
    if not failing:
        return []
    named = {field(job).encode(): job for job in failing}
    minutes = [_counts_by_job(each, named) for each in hashes]
    found = [_failing(job, now[job], minutes, start, len(hashes) - now_minutes) for job in failing]
    return sorted(found, key=lambda each: (-each.now.failed_attempts, each.job))


def _failing(
    job: str, pairs: Sequence[PairCounts], minutes: Sequence[dict[str, Counts]], start: float,
    now_at: int,
) -> FailingClass:  # fmt: skip
    exceptions: Counter[str] = Counter()
    queues: Counter[str] = Counter()
    for pair in pairs:
        exceptions.update(pair.exceptions)
        queues[pair.queue] += pair.counts.failed_attempts
    course = [each.get(job, Counts()) for each in minutes]
    since = _since(course)
    before = sum_of(course[: min(since, now_at)])
    return FailingClass(
        job,
        sum_of(pair.counts for pair in pairs),
        before if before.attempts else sum_of(course[:now_at]),
        dict(exceptions.most_common()),
        dict((+queues).most_common()),
        start + 60.0 * since,
        sum_of(course[max(since, now_at) :]),
    )


def _since(course: Sequence[Counts]) -> int:
    """The position of the first of the minutes up to now in each of which FEW or more failed. A few
    minutes without an attempt do not end their row."""
    since, started = len(course) - 1, False
    for position in range(len(course) - 1, -1, -1):
        counts = course[position]
        if counts.failed_attempts and counts.failed_attempts >= FEW * counts.attempts:
            since, started = position, True
        elif started and (counts.attempts or since - position > MOST_PAUSE):
            break
    return since


def _counts_by_job(found: dict[bytes, int], jobs: dict[bytes, str]) -> dict[str, Counts]:
    """What these classes, by their names in fields, did in a minute. Fields of others are not
    taken apart: there are 65 minutes with hundreds of them."""
    sums: dict[str, list[int]] = {}
    for name, count in found.items():
        kind = _KINDS.get(name[:2])
        if kind is not None and (job := jobs.get(name.rpartition(b"|")[2])) is not None:
            sums.setdefault(job, [0, 0, 0])[kind] += count
    return {job: Counts(*counts) for job, counts in sums.items()}
