"""The snapshots of several shards as one. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest

from gresque.clock import parse_iso_8601
from gresque.inspector.collecting import calm_sentence
from gresque.inspector.flow import merge_policies
from gresque.inspector.held_jobs import HeldJob, HeldJobs, Place
from gresque.inspector.look import Counts, Look
from gresque.inspector.merged_trends import merge_trends
from gresque.inspector.snapshot import Pace, QueueRow, RunningJobs, Snapshot
from gresque.inspector.verdict import Action, Line, Severity, Verdict, verdict_of
from gresque.text import printable


def merge_snapshots(
    number: int, found: Mapping[str, Snapshot], missing: Mapping[str, str]
) -> Snapshot:
    """What these shards, by their names, are together. `missing` are the reasons of those that do
    not answer; the numbers do not have them, and the verdict says so."""
    each = [*found.values()]
    look = _merge_looks([one.look for one in each])
    done, failed = sum(one.done_rate for one in each), sum(one.failed_rate for one in each)
    queues = _merge_queues([one.queues for one in each])
    return Snapshot(
        number=number,
        look=look,
        done_rate=done,
        failed_rate=failed,
        paces=_merge_paces([one.paces for one in each]),
        queues=queues,
        processes=tuple(
            sorted(
                (row for one in each for row in one.processes),
                key=lambda row: (row.host, row.started or 0.0, row.id),
            )
        ),
        running=RunningJobs(look.processes),
        expected_processes=sum(one.expected_processes for one in each),
        trends=merge_trends([one.trends for one in each]),
        verdict=_merge_verdicts(
            {name: one.verdict for name, one in found.items()}, missing, calm_sentence(done, queues)
        ),
        jobs=_merge_jobs([one.jobs for one in each]),
        took_seconds=max(one.took_seconds for one in each),
        taken=min(one.taken for one in each),
        shards={row.id: name for name, one in found.items() for row in one.processes},
    )


def _merge_looks(found: Sequence[Look]) -> Look:
    at = max(look.at for look in found)
    waiting = Counter[str]()
    suspects: dict[str, tuple[int, int]] = {}
    heartbeats: dict[str, str] = {}
    for look in found:
        waiting.update(look.counts.waiting)
        for queue, (one, more) in look.suspects.items():
            known = suspects.get(queue, (0, 0))
            suspects[queue] = known[0] + one, known[1] + more
        for worker, beat in look.heartbeats.items():
            # Each in the zone of the machine that wrote it.
            known_beat = heartbeats.get(worker, "")
            heartbeats[worker] = max(known_beat, beat, key=lambda t: parse_iso_8601(t) or 0.0)
    names = {queue for look in found for queue in look.counts.waiting}
    return Look(
        counts=Counts(
            at,
            {name: waiting[name] for name in sorted(names)},
            sum(look.counts.processed for look in found),
            sum(look.counts.failed for look in found),
        ),
        suspects=suspects,
        processes=tuple(process for look in found for process in look.processes),
        workers=frozenset[str]().union(*(look.workers for look in found)),
        heartbeats=heartbeats,
        masters=frozenset[str]().union(*(look.masters for look in found)),
        kept_failed=sum(look.kept_failed for look in found),
        later=sum(look.later for look in found),
        server={},  # each shard has one of its own
        flow=merge_policies([look.flow for look in found]),
    )


def _merge_paces(found: Sequence[Sequence[Pace]]) -> tuple[Pace, ...]:
    """Second by second, back from now: shards are asked at nearly the same times."""
    none = Pace(0.0, 0.0, 0.0, 0, 0)
    seconds = zip_longest(*(reversed(paces) for paces in found), fillvalue=none)
    merged = [
        Pace(
            max(pace.at for pace in paces),
            sum(pace.done for pace in paces),
            sum(pace.failed for pace in paces),
            sum(pace.waiting for pace in paces),
            sum(pace.running for pace in paces),
        )
        for paces in seconds
    ]
    return tuple(reversed(merged))


def _merge_queues(found: Sequence[Sequence[QueueRow]]) -> tuple[QueueRow, ...]:
    """By name."""
    rows: dict[str, list[QueueRow]] = {}
    for queues in found:
        for row in queues:
            rows.setdefault(row.name, []).append(row)
    return tuple(_merge_rows(rows[name]) for name in sorted(rows))


def _merge_rows(rows: Sequence[QueueRow]) -> QueueRow:
    """One queue. Its policy is that of the first shard that has one: a limit is that of each shard,
    and the text says where they differ."""
    if len(rows) == 1:
        return rows[0]
    texts = dict.fromkeys(row.policy_text for row in rows if row.policy_text)
    limited = next((row for row in rows if row.policy_text), rows[0])
    return QueueRow(
        name=rows[0].name,
        waiting=sum(row.waiting for row in rows),
        suspects=sum(row.suspects for row in rows),
        age_seconds=max((row.age_seconds for row in rows if row.age_seconds is not None),
                        default=None),
        growth=sum(row.growth for row in rows),
        is_served=all(row.is_served or not row.waiting for row in rows)
        and any(row.is_served for row in rows),
        is_paused=any(row.is_paused for row in rows),
        policy=limited.policy,
        policy_text="; ".join(texts),
        counted=_sum(row.counted for row in rows),
        running=_sum(row.running for row in rows),
        out_rate=_sum(row.out_rate for row in rows),
    )  # fmt: skip


def _sum(values: Iterable[float | None]) -> int | None:
    """None where none of them is known."""
    known = [each for each in values if each is not None]
    return sum(known) if known else None  # type: ignore[return-value]  # of one kind


def _merge_jobs(found: Sequence[HeldJobs | None]) -> HeldJobs | None:
    known = [each for each in found if each is not None]
    if not known:
        return None
    jobs: dict[Place, HeldJob] = {}
    for each in known:
        jobs.update(each.items())
    return HeldJobs(jobs, min(each.taken for each in known))


def _merge_verdicts(found: Mapping[str, Verdict], missing: Mapping[str, str], calm: str) -> Verdict:
    lines = [*map(_missing_line, missing, missing.values())]
    lines += [_of_shard(line, name) for name, each in found.items() for line in each.lines]
    merged = verdict_of(lines, calm)
    return replace(merged, more=merged.more + sum(each.more for each in found.values()))


def _of_shard(line: Line, shard: str) -> Line:
    """The line, and where: the same may be wrong on several shards."""
    return replace(
        line,
        title=f"{line.title}, on {shard}",
        subject=line.subject,
        text=f"{line.text} (shard {shard})",
        shard=shard,
    )


def _missing_line(shard: str, reason: str) -> Line:
    name, why = printable(shard), printable(reason).rstrip(".")
    return Line(
        "shard", Severity.STOPPED, "A shard is away", name,
        f"does not answer: {why}",
        f"Shard {name} does not answer, its numbers are missing: {why}.",
        "The other shards go on. New jobs go to them, but for those that belong to this one.",
        (Action("redis", "", "show"),), shard,
    )  # fmt: skip
