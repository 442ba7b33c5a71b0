"""What all shards have together, beside their snapshots: metrics, kills and stacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from gresque.errors import RedisUnavailable
from gresque.inspector.merged_trends import merge_depths, merge_series, merge_times
from gresque.inspector.metrics import Depth, Series, Times
from gresque.inspector.running import RunningJob
from gresque.web.kills import KilledRow
from gresque.web.measured import AnyMeasured
from gresque.web.parts import ask_parts
from gresque.web.site import Site
from gresque.web.stacks import JobStack

T = TypeVar("T")
ShardOf = Callable[[str], str | None]
"""The name of the shard that a process serves."""


class MergedMeasured:
    """As Measured. A shard that does not answer is left out; the verdict names it."""

    def __init__(self, parts: Mapping[str, Site]) -> None:
        self._parts = parts

    def series(self, span: str) -> Series:
        return merge_series(self._ask(lambda each: each.series(span)))

    def of_class(self, job: str) -> Series:
        return merge_series(self._ask(lambda each: each.of_class(job)))

    def waits_of(self, queue: str) -> list[tuple[int, Times | None]]:
        found: dict[int, list[dict[str, Times]]] = {}
        for steps in self._ask(lambda each: each.waits_of(queue)):
            for at, times in steps:
                found.setdefault(at, []).append({queue: times} if times is not None else {})
        return [(at, merge_times(found[at]).get(queue)) for at in sorted(found)]

    def depths(self) -> dict[str, list[Depth]]:
        return merge_depths(self._ask(lambda each: each.depths()))

    def _ask(self, function: Callable[[AnyMeasured], T]) -> list[T]:
        """Raises RedisUnavailable where no shard answers. One that is known to be away is not asked
        again: a page asks a dozen times."""
        there = {name: part for name, part in self._parts.items() if part.collector.trouble is None}
        found = ask_parts(lambda part: function(part.measured), among=there or self._parts)
        if not found.by_shard:
            raise RedisUnavailable("; ".join(found.missing.values()))
        return found.values


class MergedKills:
    """As Kills; a job is killed on the shard that its process serves."""

    def __init__(self, parts: Mapping[str, Site], shard_of: ShardOf) -> None:
        self._parts, self._shard_of = parts, shard_of

    @property
    def version(self) -> int:
        return sum(each.kills.version for each in self._parts.values())

    def start(self, jobs: Sequence[RunningJob], by: str) -> int:
        started = 0
        for name, each in self._parts.items():
            there = [job for job in jobs if self._shard_of(job.process) == name]
            started += each.kills.start(there, by) if there else 0
        return started

    def recent(self) -> dict[str, KilledRow]:
        found: dict[str, KilledRow] = {}
        for each in self._parts.values():
            found |= each.kills.recent()
        return found

    def close(self, seconds: float) -> None:
        """Nothing: those of the parts are closed one by one."""


class MergedStacks:
    """As Stacks."""

    def __init__(self, parts: Mapping[str, Site], shard_of: ShardOf) -> None:
        self._parts, self._shard_of = parts, shard_of

    def of(self, job: RunningJob, by: str) -> JobStack:
        shard = self._shard_of(job.process)
        return JobStack.unknown() if shard is None else self._parts[shard].stacks.of(job, by)
