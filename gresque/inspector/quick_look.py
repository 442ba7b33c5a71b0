"""The reads of a look that is taken each second: what is asked each time, and what less often.

Two round trips, whatever the number of queues and processes. Where there are many queues, each
second looks at a third of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gresque.errors import SettingsError
from gresque.inspector.look import Counts, Look, ProcessReads, SuspectReads
from gresque.inspector.workers import GONE_SECONDS, is_silent
from gresque.jobs.waiting import waits_since
from gresque.processes.identity import queues_of
from gresque.queue_list import QueueList
from gresque.settings import one_list_each
from gresque.store.policies import PolicyReads
from gresque.store.reads import Reads, Reply
from gresque.store.store import Store

PARTS = 3
MANY_QUEUES = 300
"""Up to this number all sizes are read each second, above it those of a third."""
SERVER_TICKS = 5
"""INFO is asked for in each fifth second."""


class QuickLook:
    """Reads one look after the other; one thread calls it. Raises redis-py's errors."""

    def __init__(self, store: Store, failure_backend: str) -> None:
        self._store, self._keys = store, store.keys
        self._one_list_each = one_list_each(failure_backend)
        self._tick = -1
        self._sizes: dict[str, int] = {}
        self.heads: dict[str, float | None] = {}
        """Since when the next job of each queue waits."""
        self._server: dict[str, Any] = {}
        self._served_by: tuple[object, dict[str, bool]] = (None, {})

    def forget(self) -> None:
        """Before the first look after a pause."""
        self._tick = -1

    def take(self) -> Look:
        self._tick += 1
        return self._look()

    def served(self, look: Look) -> dict[str, bool]:
        """Whether some living worker or process serves each queue."""
        lists = {
            queues_of(each.id)
            for each in look.processes
            if each.beat_age < GONE_SECONDS and not each.is_fenced
        }
        for worker in look.workers:
            if not is_silent(look.heartbeats.get(worker, ""), look.at):
                parts = worker.split(":")
                lists.add(parts[2] if len(parts) > 2 else None)
        names = look.counts.waiting.keys()
        known = frozenset(lists), frozenset(names)
        if known != self._served_by[0]:
            self._served_by = known, _served(lists, names)
        return self._served_by[1]

    def _look(self) -> Look:
        keys, reads = self._keys, self._store.reads()
        clock = reads.now()
        names = reads.names("SMEMBERS", keys.queues)
        with_suspects = reads.names("SMEMBERS", keys.suspects)
        counters = reads.numbers([keys.processed, keys.failures])
        beats = reads.scores("ZRANGE", keys.ledgers)
        workers = reads.names("SMEMBERS", keys.workers)
        heartbeats = reads.texts_of("HGETALL", keys.heartbeats)
        masters = reads.texts_of("HGETALL", keys.masters)
        later = reads.number("ZCARD", keys.later)
        failed_queues = reads.names("SMEMBERS", keys.failed_queues)
        server = reads.info() if self._tick % SERVER_TICKS == 0 else None
        policies = PolicyReads(self._store.server, reads)
        reads.run()
        if server is not None:
            self._server = server.value
        sizes = self._ask_sizes(reads, sorted(names.value))
        apart = SuspectReads(reads, keys, with_suspects.value)
        ask_processes = ProcessReads(self._store, reads, [*beats.value])
        lists = [keys.failed]
        if self._one_list_each:
            lists = [keys.failed_list(name) for name in failed_queues.value]
        kept = [reads.number("LLEN", key) for key in lists]
        reads.run()
        self._keep_sizes(names.value, sizes)
        at = clock.value
        return Look(
            counts=Counts(at, apart.added_to(self._sizes), *counters.value),
            suspects=apart.counts(),
            processes=ask_processes.looks(at, beats.value),
            workers=frozenset(workers.value),
            heartbeats=heartbeats.value,
            masters=frozenset(masters.value),
            kept_failed=sum(count.value for count in kept),
            later=later.value,
            server=self._server,
            flow=policies.snapshot(),
        )

    def _ask_sizes(self, reads: Reads, names: Sequence[str]) -> dict[str, _Size]:
        """Of all queues, or of those whose turn it is. The first jobs of those in which some waited
        are read with them; where a queue was empty, its first job is read a turn later."""
        due = names
        if len(names) > MANY_QUEUES and self._tick >= PARTS:
            due = names[self._tick % PARTS :: PARTS]
        return {
            name: _Size(
                reads.number("LLEN", self._keys.queue(name)),
                reads.ask(b"", "LINDEX", self._keys.queue(name), 0)
                if self._sizes.get(name, 1)
                else None,
            )
            for name in due
        }

    def _keep_sizes(self, names: Iterable[str], sizes: Mapping[str, _Size]) -> None:
        found = {name: self._sizes.get(name, 0) for name in names}
        self._sizes = found | {name: each.size.value for name, each in sizes.items()}
        heads = {name: self.heads.get(name) for name, size in self._sizes.items() if size}
        for name, each in sizes.items():
            if name in heads and each.head is not None:
                heads[name] = waits_since(each.head.value) if each.head.value else None
        self.heads = heads


class _Size(NamedTuple):
    size: Reply[int]
    head: Reply[bytes] | None


def _served(lists: Iterable[str | None], queues: Iterable[str]) -> dict[str, bool]:
    """In a queue list of an id a colon is `~`."""
    names = {name.replace(":", "~"): name for name in queues}
    found = dict.fromkeys(names.values(), False)
    for each in lists:
        try:
            resolved = QueueList.parse_id(each or "").resolve([*names])
        except SettingsError:
            continue
        found.update((names[name], True) for name in resolved if name in names)
    return found
