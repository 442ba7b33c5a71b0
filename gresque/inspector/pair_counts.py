"""Counts of pairs of queue and class, out of the hashes of metrics. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from gresque.store.metric_fields import Counts
from gresque.store.metrics import parts_of


@dataclass(frozen=True)
class PairCounts:
    """What the jobs of one class from one queue did. `seconds` is how long those of their runs took
    that took 5 ms or more. `exceptions` count failed attempts, the most frequent first."""

    queue: str
    job: str
    counts: Counts
    seconds: float
    exceptions: dict[str, int]


def pairs_of(hashes: Iterable[dict[bytes, int]]) -> list[PairCounts]:
    """The sums of these hashes of minutes."""
    sums: Counter[bytes] = Counter()
    for each in hashes:
        sums.update(each)
    counts: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: dict.fromkeys("dfrs", 0))
    exceptions: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for name, count in sums.items():
        kind, *parts = parts_of(name)
        if kind == "x" and len(parts) == 3:
            exceptions[parts[0], parts[1]][parts[2]] += count
        elif len(parts) == 2 and kind in "dfrs":
            counts[parts[0], parts[1]][kind] += count
    found = [
        PairCounts(
            queue,
            job,
            Counts(each["d"], each["f"], each["r"]),
            each["s"] / 1000,
            dict(exceptions[queue, job].most_common()),
        )
        for (queue, job), each in counts.items()
    ]
    return sorted(found, key=lambda pair: -pair.counts.attempts)


def by_job(pairs: Iterable[PairCounts]) -> dict[str, list[PairCounts]]:
    found: dict[str, list[PairCounts]] = defaultdict(list)
    for pair in pairs:
        found[pair.job].append(pair)
    return found


def sum_of(counts: Iterable[Counts]) -> Counts:
    total = Counts()
    for each in counts:
        total = total.plus(each)
    return total
