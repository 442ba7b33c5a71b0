"""The feed and the acts of several shards, made of those of each: the screen shows them as one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import TypeVar

from gresque.control.processes import Order
from gresque.errors import GresqueError, RedisUnavailable
from gresque.inspector.failed_groups import FailedGroup, GroupKey
from gresque.inspector.failed_index import IndexProgress
from gresque.inspector.merged_collector import MergedCollector
from gresque.inspector.recoveries import LoggedRecovery
from gresque.inspector.running import RunningJob
from gresque.inspector.shards import ask_all, merge_rows
from gresque.inspector.snapshot import Published, Snapshot
from gresque.top.acts import Acts, Ended
from gresque.top.feed import RECOVERIES, Feed

T = TypeVar("T")


class ShardsFeed(Feed):
    """Reads for the screen what all shards have, of those that answer."""

    def __init__(self, feeds: Mapping[str, Feed]) -> None:
        """`feeds`: by the names of the shards."""
        self._feeds = feeds
        self.collector = MergedCollector({n: each.collector for n, each in feeds.items()})

    def jobs(self, snapshot: Snapshot, rows: Sequence[Published]) -> list[RunningJob]:
        wanted: defaultdict[str, list[Published]] = defaultdict(list)
        for row in rows:
            if row.process in snapshot.shards:
                wanted[snapshot.shards[row.process]].append(row)
        found = self._ask(
            lambda name: self._feeds[name].jobs(snapshot, wanted[name]), among=[*wanted]
        )
        read = {(job.process, job.slot): job for jobs in found.values() for job in jobs}
        return [read[row.place] for row in rows if row.place in read]

    def groups(self) -> tuple[list[FailedGroup], IndexProgress]:
        found = [each.groups() for each in self._feeds.values()]
        progress = IndexProgress(
            sum(each.read for _, each in found),
            sum(each.total for _, each in found),
            all(each.is_away for _, each in found),
        )
        return merge_groups([groups for groups, _ in found]), progress

    def recoveries(self) -> list[LoggedRecovery]:
        found = self._ask(lambda name: self._feeds[name].recoveries())
        rows = merge_rows(found, lambda each: each.order)
        return [each.value for each in islice(rows, RECOVERIES)]

    def close(self) -> None:
        for each in self._feeds.values():
            each.close()

    def _ask(
        self, function: Callable[[str], T], among: Sequence[str] | None = None
    ) -> dict[str, T]:
        names = self._feeds if among is None else among
        stores = {name: self._feeds[name].store for name in names}
        named = {id(store): name for name, store in stores.items()}
        return ask_all(stores, lambda store: function(named[id(store)])).by_shard


def merge_groups(found: Sequence[Sequence[FailedGroup]]) -> list[FailedGroup]:
    """The groups of several shards, the largest first."""
    merged: dict[tuple[GroupKey, bool], FailedGroup] = {}
    for groups in found:
        for group in groups:
            known = merged.setdefault(
                (group.key, group.is_rest), FailedGroup(group.key, is_rest=group.is_rest)
            )
            if group.last >= known.last:
                known.error = group.error
            firsts = [each for each in (known.first, group.first) if each]
            known.first, known.last = min(firsts, default=0), max(known.last, group.last)
            known.count += group.count
            known.retried += group.retried
            known.hours.update(group.hours)
    return sorted(merged.values(), key=lambda each: -each.count)


class ShardsActs(Acts):
    """A job and a process are those of one shard; the rest is done on each."""

    def __init__(self, acts: Mapping[str, Acts], shards: Callable[[], Mapping[str, str]]) -> None:
        """`shards` returns the shard of each process."""
        self._acts, self._shards = acts, shards

    def kill(self, jobs: Sequence[RunningJob]) -> list[Ended]:
        shards = self._shards()
        by_shard: defaultdict[str, list[RunningJob]] = defaultdict(list)
        for job in jobs:
            by_shard[self._known(shards, job.process)].append(job)
        return [ended for name, some in by_shard.items() for ended in self._acts[name].kill(some)]

    def order(self, what: Order, process: str) -> str:
        return self._acts[self._known(self._shards(), process)].order(what, process)

    def stack(self, job_id: str) -> list[str]:
        found = self._each(lambda acts: acts.stack(job_id))
        gone = ["it does not run any more"]
        return next((lines for lines in found.values() if lines != gone), gone)

    def pause(self, queue: str) -> str:
        return self._same(lambda acts: acts.pause(queue))

    def unpause(self, queue: str) -> str:
        return self._same(lambda acts: acts.unpause(queue))

    def limit(self, queue: str, cap: int) -> str:
        return f"{self._same(lambda acts: acts.limit(queue, cap))} on each shard"

    def retry(self, group: FailedGroup) -> str:
        return _by_shard(self._each(lambda acts: acts.retry(group)))

    def remove(self, group: FailedGroup) -> str:
        return _by_shard(self._each(lambda acts: acts.remove(group)))

    @staticmethod
    def _known(shards: Mapping[str, str], process: str) -> str:
        if process not in shards:
            raise GresqueError("its process has gone")
        return shards[process]

    def _same(self, act: Callable[[Acts], str]) -> str:
        """What became of it: once where it is the same on all shards, else by shard."""
        found = self._each(act)
        if len({*found.values()}) == 1:
            return next(iter(found.values()))
        return _by_shard(found)

    def _each(self, act: Callable[[Acts], T]) -> dict[str, T]:
        """Raises GresqueError that names the shards where it failed; it was done on the others."""
        stores = {name: each.store for name, each in self._acts.items()}
        known = {id(each.store): each for each in self._acts.values()}

        def on(store: object) -> T:
            try:
                return act(known[id(store)])
            except GresqueError as error:
                raise RedisUnavailable(str(error)) from None

        found = ask_all(stores, on, None)
        if found.missing:
            failed = "; ".join(f"shard {name}: {why}" for name, why in found.missing.items())
            raise GresqueError(failed)
        return found.by_shard


def _by_shard(found: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {text}" for name, text in found.items())
