"""What findings are made of: two looks at the system, and what several of them read beside."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from heapq import nlargest

from gresque.clock import parse_iso_8601
from gresque.errors import SettingsError
from gresque.inspector.look import Counts, Look, ProcessLook
from gresque.inspector.names import worker_name
from gresque.inspector.running import RunningJob, read_slots
from gresque.inspector.workers import GONE_SECONDS, is_silent
from gresque.jobs.waiting import waits_since
from gresque.processes.identity import queues_of
from gresque.queue_list import QueueList
from gresque.store.store import Store
from gresque.text import decoded

HEADS = 100
"""Queues whose first job is looked at: those in which the most wait."""
SILENT_SECONDS = 20.0
"""Two beats of a process that were missed."""
IDLE_SECONDS = 60.0
"""So long a queue may wait for workers that start, or whose processes are replaced."""


@dataclass(frozen=True)
class View:
    """A look, and the counts a moment before it. What it reads by itself takes one round trip each,
    and reads no whole queue."""

    store: Store
    failure_backend: str
    before: Counts
    look: Look
    heads: Mapping[str, float | None] | None = None
    """Since when the next job of each queue waits, where that was read before."""

    @property
    def at(self) -> float:
        """Epoch seconds by the server's clock."""
        return self.look.at

    @property
    def seconds(self) -> float:
        """From one look to the other."""
        return max(self.look.at - self.before.at, 0.001)

    @property
    def done_rate(self) -> float:
        """Jobs a second that ended, the failed ones included."""
        return max(self.look.counts.processed - self.before.processed, 0) / self.seconds

    @property
    def failed_rate(self) -> float:
        return max(self.look.counts.failed - self.before.failed, 0) / self.seconds

    def growth(self, queue: str) -> float:
        """Jobs a second by which a queue has grown; negative where it shrinks."""
        return (self.look.counts.waiting[queue] - self.before.waiting.get(queue, 0)) / self.seconds

    @cached_property
    def waiting(self) -> dict[str, int]:
        """Queues in which jobs wait, the longest first."""
        found = {name: count for name, count in self.look.counts.waiting.items() if count}
        return dict(sorted(found.items(), key=lambda each: (-each[1], each[0])))

    @cached_property
    def ages(self) -> dict[str, float | None]:
        """For how long the next job of a queue waits, in seconds; None where its payload has no
        time, or the queue is none of the longest."""
        since = self._since() if self.heads is None else self.heads
        return {
            name: None if (at := since.get(name)) is None else max(self.at - at, 0.0)
            for name in self.waiting
        }

    def _since(self) -> dict[str, float | None]:
        keys, reads = self.store.keys, self.store.reads()
        heads = {
            name: reads.ask(b"", "LINDEX", keys.queue(name), 0)
            for name in nlargest(HEADS, self.waiting, key=self.waiting.__getitem__)
        }
        reads.run()
        return {name: waits_since(head.value) for name, head in heads.items()}

    def jobs(self, slots: Mapping[str, list[str]]) -> list[RunningJob]:
        """The jobs in these slots of processes."""
        running = {process.id: process.running for process in self.look.processes}
        return read_slots(self.store, slots, running, self.at)

    @cached_property
    def servers(self) -> dict[str, list[ProcessLook]]:
        """The living processes that serve each queue in which jobs wait; paused ones do, too."""
        found: dict[str, list[ProcessLook]] = {name: [] for name in self.waiting}
        # Hundreds of processes may have one list of a thousand queues.
        by_list: defaultdict[str | None, list[ProcessLook]] = defaultdict(list)
        for process in self.look.processes:
            if process.beat_age < GONE_SECONDS and not process.is_fenced:
                by_list[queues_of(process.id)].append(process)
        for listed, processes in by_list.items():
            for name in self._listed(listed):
                found[name] += processes
        return found

    @cached_property
    def served(self) -> set[str]:
        """The queues with waiting jobs that some process or worker serves. A worker may have no
        process for a moment, and other programs show none."""
        found = {name for name, processes in self.servers.items() if processes}
        for worker in self.live_workers:
            found.update(self._listed(_queues_of_worker(worker)))
        return found

    @cached_property
    def live_workers(self) -> list[str]:
        """The workers that have beaten lately, and those of programs that do not beat."""
        heartbeats = self.look.heartbeats
        return [
            each for each in self.look.workers if not is_silent(heartbeats.get(each, ""), self.at)
        ]

    def is_idle(self, queue: str) -> bool:
        """Whether nothing is done in a queue although its next job waits, and its workers have run,
        for IDLE_SECONDS: no process of theirs comes up, or none takes jobs. False where another
        program serves it, which does not show what it holds."""
        age = self.ages[queue]
        if age is None or age < IDLE_SECONDS or self.growth(queue) < 0:
            return False
        living = [process for process in self.servers[queue] if process.seems_to_live]
        if any(process.held for process in living) or (living and self.done_rate):
            return False
        workers = [w for w in self.live_workers if queue in self._listed(_queues_of_worker(w))]
        return bool(workers) and all(map(self._is_old, workers))

    def _is_old(self, worker: str) -> bool:
        since = self._started.get(worker)
        return since is not None and self.at - since >= IDLE_SECONDS

    @cached_property
    def _started(self) -> dict[str, float | None]:
        """Since when the workers of ours run."""
        ours = [each for each in self.live_workers if worker_name(each) is not None]
        reads = self.store.reads()
        started = reads.texts([self.store.keys.worker_started(each) for each in ours])
        reads.run()
        return {
            each: parse_iso_8601(decoded(raw or b""))
            for each, raw in zip(ours, started.value, strict=True)
        }

    def _listed(self, queues: str | None) -> Iterable[str]:
        if queues is None:
            return ()
        if queues not in self._lists:
            names = {name.replace(":", "~"): name for name in self.waiting}
            try:
                resolved = QueueList.parse_id(queues).resolve(names)
            except SettingsError:
                resolved = []
            self._lists[queues] = [names[name] for name in resolved if name in names]
        return self._lists[queues]

    @cached_property
    def _lists(self) -> dict[str, list[str]]:
        """The queues with waiting jobs that a queue list in an id means, in which a colon is
        `~`."""
        return {}


def _queues_of_worker(worker_id: str) -> str | None:
    """The queues in the id of a worker of any Resque: `host:pid:queues…`."""
    parts = worker_id.split(":")
    return parts[2] if len(parts) > 2 else None
