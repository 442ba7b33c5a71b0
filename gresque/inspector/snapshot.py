"""One moment of the whole system, as pages and `gresque top` show it. Pure.

A `Collector` takes a snapshot a second, and all viewers share it. Nothing in it may be changed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import repeat, starmap
from typing import Any, NamedTuple, overload

from gresque.inspector.held_jobs import HeldJobs
from gresque.inspector.look import Look, ProcessLook
from gresque.inspector.names import started_at, worker_and_pid, worker_name
from gresque.inspector.trends import Trends
from gresque.inspector.verdict import Verdict
from gresque.inspector.workers import GONE_SECONDS
from gresque.processes.short_names import short_process
from gresque.store.commands import ON_THE_CPU
from gresque.store.policies import NONE as NO_POLICY
from gresque.store.policies import Policy

STALE_SECONDS = 3.0
"""A snapshot that is older is shown in grey, with its age."""
LATE_SECONDS = 60.0
"""A queue is late when its next job has waited for this long."""
SILENT_SECONDS = 20.0
"""Two beats of a process that were missed."""


@dataclass(frozen=True)
class Trouble:
    """Why there are no new numbers, in one line, and since when, in epoch seconds by the clock of
    this machine."""

    reason: str
    since: float


class Pace(NamedTuple):
    """The numbers of one second, for small charts: jobs a second that were done and that failed,
    how many waited and how many ran."""

    at: float
    done: float
    failed: float
    waiting: int
    running: int


class Published(NamedTuple):
    """A job that has been running for over a second, as its process publishes it: since when, in
    epoch seconds by the server's clock, and since when it has kept its neighbours from running,
    where it does."""

    since: float
    process: str
    slot: str
    blocks_since: float | None = None

    @property
    def place(self) -> tuple[str, str]:
        """Where it runs. The next job in this slot starts later."""
        return self.process, self.slot


@dataclass(frozen=True)
class QueueRow:
    """A queue. `waiting` are all jobs that wait, `suspects` those of them that wait apart. Rates
    are in jobs a second. `running` is how many of its jobs are held by processes, None where
    nobody asked for that lately."""

    name: str
    waiting: int
    suspects: int
    age_seconds: float | None
    """For how long the next job waits; None where none does, or its payload has no time."""
    growth: float
    is_served: bool
    is_paused: bool
    policy: Policy
    policy_text: str
    """Its policy and state for people; empty where it has none."""
    counted: int | None
    """How many of its jobs its cap counts; None where it has none."""
    running: int | None = None
    out_rate: float | None = None
    """Jobs of it that end; None where metrics are off."""

    @property
    def in_rate(self) -> float | None:
        """Jobs that are put into it."""
        return None if self.out_rate is None else max(self.out_rate + self.growth, 0.0)

    @property
    def empty_seconds(self) -> float | None:
        """In how long it is empty at this rate; None when never."""
        if not self.waiting:
            return 0.0
        return self.waiting / -self.growth if self.growth < 0 else None


@dataclass(frozen=True)
class ProcessRow:
    """A worker process. `cpu_share` is its part of one CPU, 1.0 for all of it; None where that is
    not known. `blocked_seconds` is for how long a job blocks it, `frozen_seconds` for how long
    nothing of it runs."""

    look: ProcessLook
    host: str
    master_pid: int | None
    pid: int | None
    started: float | None
    threads: int
    """Of it; 0 where its id does not have it."""
    cpu_share: float | None = None
    blocked_seconds: float | None = None
    frozen_seconds: float | None = None

    @property
    def id(self) -> str:
        return self.look.id

    @property
    def name(self) -> str:
        """`host:pid`."""
        return short_process(self.look.id)

    @property
    def worker(self) -> str:
        return worker_and_pid(self.look.id)[0]

    @property
    def threads_used(self) -> int:
        return min(self.look.held, self.threads)

    @property
    def is_silent(self) -> bool:
        return self.look.beat_age >= SILENT_SECONDS

    @property
    def is_gone(self) -> bool:
        """Its jobs are being given back, or are about to."""
        return self.look.is_fenced or self.look.beat_age >= GONE_SECONDS

    @property
    def state(self) -> str:
        """A word: blocked, frozen, silent, fenced, or what the process says of itself, such as
        ready, paused, draining; empty where nothing is known."""
        if self.look.is_fenced:
            return "fenced"
        if self.is_silent:
            return "silent"
        if self.blocked_seconds is not None:
            return "blocked"
        return "frozen" if self.frozen_seconds is not None else self.look.state


@dataclass(frozen=True)
class HostRow:
    """A host with its processes. Numbers are sums over these; `cpu_share` is in CPUs."""

    name: str
    processes: tuple[ProcessRow, ...]

    @property
    def held(self) -> int:
        return sum(each.look.held for each in self.processes)

    @cached_property
    def cpu_share(self) -> float | None:
        return _sum(each.cpu_share for each in self.processes)

    @cached_property
    def memory_bytes(self) -> int | None:
        found = _sum(each.look.vitals.rss for each in self.processes if each.look.vitals)
        return None if found is None else int(found)

    @property
    def lag_seconds(self) -> float | None:
        """The longest that the loop of one of them stood still lately."""
        return max((each.look.vitals.lag for each in self.processes if each.look.vitals),
                   default=None)  # fmt: skip


@dataclass(frozen=True)
class Snapshot:
    """`number` counts what a viewer may have seen: a page that has the snapshot of this number is
    up to date. When Redis is away the last numbers stay, and `trouble` says why."""

    number: int
    look: Look
    done_rate: float
    """Jobs a second that ended in the last seconds, the failed ones included."""
    failed_rate: float
    paces: tuple[Pace, ...]
    """Of the last seconds in which a viewer asked, the oldest first."""
    queues: tuple[QueueRow, ...]
    """By name."""
    processes: tuple[ProcessRow, ...]
    """By host and start."""
    running: RunningJobs
    """Jobs that block others, then those that run longest. Jobs of less than a second are not among
    them; `held` counts these, too."""
    expected_processes: int
    """As many as the workers that live are to have."""
    trends: Trends
    verdict: Verdict
    jobs: HeldJobs | None = None
    """The jobs in flight, a few seconds old; None where no viewer asked for them."""
    trouble: Trouble | None = None
    took_seconds: float = 0.0
    """For how long Redis was read for it."""
    taken: float = field(default_factory=time.monotonic)
    """On the monotonic clock of this process."""
    shards: Mapping[str, str] = field(default_factory=dict)
    """The names of the shards that processes serve, where there are several."""

    @property
    def at(self) -> float:
        """Epoch seconds by the server's clock."""
        return self.look.at

    @property
    def age(self) -> float:
        """Seconds since it was taken."""
        return max(time.monotonic() - self.taken, 0.0)

    @property
    def is_stale(self) -> bool:
        return self.trouble is not None or self.age >= STALE_SECONDS

    @property
    def waiting(self) -> int:
        return sum(self.look.counts.waiting.values())

    @property
    def held(self) -> int:
        """Jobs that run, and a few that are about to."""
        return self.look.held

    @cached_property
    def threads(self) -> int:
        """Of all processes that live."""
        return sum(each.threads for each in self.processes if not each.is_gone)

    @cached_property
    def living(self) -> int:
        """Processes that live and are not silent."""
        return sum(not each.is_gone and not each.is_silent for each in self.processes)

    @cached_property
    def oldest(self) -> QueueRow | None:
        """The queue whose next job has waited for the longest, but for paused ones; None where no
        payload has a time."""
        aged = [q for q in self.queues if q.age_seconds is not None and not q.is_paused]
        return max(aged, key=lambda each: each.age_seconds or 0.0, default=None)

    @property
    def queues_in_time(self) -> int:
        """How many queues are not late."""
        return sum((each.age_seconds or 0.0) < LATE_SECONDS for each in self.queues)

    @property
    def waits_in_paused_only(self) -> bool:
        """Whether every job that waits is in a paused queue."""
        return all(each.is_paused for each in self.queues if each.waiting)

    @property
    def longest_seconds(self) -> float | None:
        """For how long the job that runs longest has been running."""
        firsts = (min(p.running.since.values(), default=None) for p in self.look.processes)
        first = min((each for each in firsts if each is not None), default=None)
        return None if first is None else max(self.at - first, 0.0)

    def queue(self, name: str) -> QueueRow | None:
        return self._by_name.get(name)

    @cached_property
    def _by_name(self) -> dict[str, QueueRow]:
        return {each.name: each for each in self.queues}

    @cached_property
    def by_process(self) -> dict[str, ProcessRow]:
        return {each.id: each for each in self.processes}

    @cached_property
    def waits(self) -> dict[tuple[str, str], str]:
        """On what jobs wait, by their places, as far as their processes have published it."""
        found = {
            (each.id, slot): wait.waits_on
            for each in self.look.processes
            for slot, wait in each.running.waits.items()
        }
        return found | dict.fromkeys((job.place for job in self.running.blocking), ON_THE_CPU)

    @cached_property
    def hosts(self) -> tuple[HostRow, ...]:
        """By name."""
        found: dict[str, list[ProcessRow]] = {}
        for each in self.processes:
            found.setdefault(each.host, []).append(each)
        return tuple(HostRow(name, tuple(rows)) for name, rows in found.items())


def process_rows(
    looks: Sequence[ProcessLook], at: float, cpu_shares: Mapping[str, float]
) -> tuple[ProcessRow, ...]:
    """By host and start."""
    rows = [_process_row(each, at, cpu_shares.get(each.id)) for each in looks]
    return tuple(sorted(rows, key=lambda row: (row.host, row.started or 0.0, row.id)))


def _process_row(look: ProcessLook, at: float, cpu_share: float | None) -> ProcessRow:
    worker, pid = worker_and_pid(look.id)
    name, running = worker_name(worker), look.running
    return ProcessRow(
        look,
        host=name.hostname if name else worker,
        master_pid=name.master_pid if name else None,
        pid=pid,
        started=started_at(look.id),
        threads=name.thread_count if name else 0,
        cpu_share=cpu_share,
        blocked_seconds=_since(running.blocking.since if running.blocking else None, at),
        frozen_seconds=_since(running.frozen, at),
    )


class RunningJobs(Sequence[Published]):
    """The published jobs of a snapshot: those that block others, then those that run longest. They
    may be many thousands, so they are sorted when they are first asked for."""

    def __init__(self, looks: Sequence[ProcessLook]) -> None:
        self._looks = looks
        self._count = sum(
            len(each.running.since)
            # Of a job that has run for less than a second no start is published.
            + bool(each.running.blocking and each.running.blocking.slot not in each.running.since)
            for each in looks
        )

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Published: ...

    @overload
    def __getitem__(self, index: slice) -> list[Published]: ...

    def __getitem__(self, index: int | slice) -> Published | list[Published]:
        if isinstance(index, slice):
            return [Published(*each) for each in self._sorted[index]]
        return Published(*self._sorted[index])

    def __iter__(self) -> Iterator[Published]:
        return starmap(Published, self._sorted)

    @cached_property
    def blocking(self) -> list[Published]:
        """Those that block others, the first one for the longest."""
        found = []
        for each in self._looks:
            blocking, since = each.running.blocking, each.running.since
            if blocking is not None:
                began = since.get(blocking.slot, blocking.since)
                found.append(Published(began, each.id, blocking.slot, blocking.since))
        return sorted(found, key=lambda job: job.blocks_since or 0.0)

    @cached_property
    def _sorted(self) -> list[tuple[Any, ...]]:
        first = self.blocking
        blocking = {job.place for job in first}
        rest: list[tuple[Any, ...]] = []
        for each in self._looks:
            since = each.running.since
            rest += zip(since.values(), repeat(each.id), since, strict=False)
        if blocking:
            rest = [each for each in rest if each[1:] not in blocking]
        rest.sort()
        return [*first, *rest]


def queue_rows(
    look: Look,
    *,
    ages: Mapping[str, float | None],
    growths: Mapping[str, float],
    served: Mapping[str, bool],
    running: Mapping[str, int] | None = None,
    out_rates: Mapping[str, float] | None = None,
) -> tuple[QueueRow, ...]:
    """By name."""
    flow = look.flow
    return tuple(
        QueueRow(
            name,
            waiting,
            sum(look.suspects.get(name, ())),
            ages.get(name) if waiting else None,
            growths.get(name, 0.0),
            served.get(name, False),
            flow.is_paused(name),
            policy := flow.policies.get(name, NO_POLICY),
            flow.describe(name) if flow.all_paused or policy is not NO_POLICY else "",
            flow.in_flight.get(name, 0) if policy.cap is not None else None,
            None if running is None else running.get(name, 0),
            None if out_rates is None else out_rates.get(name, 0.0),
        )
        for name, waiting in sorted(look.counts.waiting.items())
    )


def _since(start: float | None, at: float) -> float | None:
    return None if start is None else max(at - start, 0.0)


def _sum(values: Iterable[float | None]) -> float | None:
    known = [each for each in values if each is not None]
    return sum(known) if known else None
