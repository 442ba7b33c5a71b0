"""Takes snapshots, one after the other: a look, and what the ones before it say beside."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import redis

from gresque.formats import rate, tight
from gresque.inspector.findings.view import View
from gresque.inspector.held_jobs import HeldJobs, HeldReader
from gresque.inspector.look import Counts, Look, ProcessLook
from gresque.inspector.names import worker_name
from gresque.inspector.quick_look import QuickLook
from gresque.inspector.rules.case import Case
from gresque.inspector.snapshot import (
    LATE_SECONDS,
    Pace,
    QueueRow,
    RunningJobs,
    Snapshot,
    process_rows,
    queue_rows,
)
from gresque.inspector.trends import Trends, TrendsReader
from gresque.inspector.verdict_rules import Judge
from gresque.inspector.workers import is_silent
from gresque.logs import fields
from gresque.store.commands import WATCH_SECONDS
from gresque.store.store import Store
from gresque.text import printable

log = logging.getLogger("gresque.inspector")

GROWTH_TICKS = 9
"""Snapshots over which the growth of a queue is measured. It is a multiple of PARTS, so that each
queue was read equally long before."""
RATE_TICKS = 5
PACES = 120
VITALS_SECONDS = 10.0


class _Sizes(NamedTuple):
    at: float
    waiting: dict[str, int]
    processed: int
    failed: int


class _Cpu(NamedTuple):
    """The CPU that a process had used at some time, and its share since the entry before."""

    at: float
    seconds: float
    share: float | None


class Collecting:
    """One thread calls it. Raises redis-py's errors."""

    def __init__(self, store: Store, failure_backend: str) -> None:
        self._store, self._failure_backend = store, failure_backend
        self._quick = QuickLook(store, failure_backend)
        self._history: deque[_Sizes] = deque(maxlen=GROWTH_TICKS + 1)
        self._paces: deque[Pace] = deque(maxlen=PACES)
        self._cpu: dict[str, _Cpu] = {}
        self._judge = Judge()
        self._trends = TrendsReader(store)
        self._held = HeldReader(store)
        self._watched_at = float("-inf")

    def forget(self) -> None:
        """Before the first snapshot after a pause: rates over a pause are none."""
        self._quick.forget()
        self._history.clear()
        self._paces.clear()
        self._judge.forget()

    def _watch(self) -> None:
        """Have processes publish what their jobs wait on. A user that may only read cannot."""
        now = time.monotonic()
        if now - self._watched_at < WATCH_SECONDS / 3:
            return
        self._watched_at = now
        try:
            self._store.commands.watch()
        except redis.ResponseError as error:
            self._watched_at = float("inf")
            log.info(
                "what jobs wait on is not known, as this Redis user may not write: %s", error,
                extra=fields("watch_refused"),
            )  # fmt: skip

    def take(self, number: int, *, wants_jobs: bool = False, wants_waits: bool = False) -> Snapshot:
        """With `wants_jobs` the jobs in flight are read, too, every few seconds; with that or
        `wants_waits` processes say what theirs wait on."""
        if wants_jobs or wants_waits:
            self._watch()
        began = time.monotonic()
        look = self._quick.take()
        counts = look.counts
        sizes = _Sizes(counts.at, dict(counts.waiting), counts.processed, counts.failed)
        self._pace(sizes, look.held)
        self._history.append(sizes)
        recent = self._history[max(len(self._history) - 1 - RATE_TICKS, 0)]
        span = max(counts.at - recent.at, 0.001)
        self._cpu = _cpu_of(look.processes, look.at, self._cpu)
        trends = self._trends.read(look.at)
        jobs = self._held.read([each.id for each in look.processes]) if wants_jobs else None
        done_rate = max(counts.processed - recent.processed, 0) / span
        took = time.monotonic() - began
        queues = self._queues(look, trends, jobs)
        return Snapshot(
            number=number,
            took_seconds=took,
            look=look,
            done_rate=done_rate,
            failed_rate=max(counts.failed - recent.failed, 0) / span,
            paces=tuple(self._paces),
            queues=queues,
            processes=process_rows(
                look.processes, look.at, {
                process: each.share for process, each in self._cpu.items() if each.share is not None
            }),
            running=RunningJobs(look.processes),
            expected_processes=_expected(look),
            trends=trends,
            jobs=jobs,
            verdict=self._judge.verdict(
                self._case(look, trends, jobs), self._calm(done_rate, queues, look)
            ),
        )  # fmt: skip

    def _calm(self, done_rate: float, queues: Sequence[QueueRow], look: Look) -> str:
        if not (queues or look.workers or look.processes):
            # A wrong namespace must not look like a quiet night.
            name = printable(self._store.keys.prefix.removesuffix(":"))
            return f"Nothing is here yet: namespace {name} has no queues and no workers."
        return calm_sentence(done_rate, queues)

    def _queues(self, look: Look, trends: Trends, jobs: HeldJobs | None) -> tuple[QueueRow, ...]:
        first, at = self._history[0], look.at
        seconds = max(at - first.at, 0.001)
        waiting = look.counts.waiting
        return queue_rows(
            look,
            ages={
                name: None if since is None else max(at - since, 0.0)
                for name, since in self._quick.heads.items()
            },
            growths={
                name: (count - first.waiting.get(name, 0)) / seconds
                for name, count in waiting.items()
            },
            served=self._quick.served(look),
            running=jobs.by_queue if jobs else None,
            out_rates=trends.out_rates if trends.are_kept else None,
        )

    def _case(self, look: Look, trends: Trends, jobs: HeldJobs | None) -> Case:
        first = self._history[0]
        before = Counts(first.at, first.waiting, first.processed, first.failed)
        view = View(self._store, self._failure_backend, before, look, self._quick.heads)
        failing = trends.failing if trends.are_kept else None
        return Case(view, failing, trends.marks, waits_of=lambda job: _waits_of(job, look, jobs))

    def _pace(self, sizes: _Sizes, running: int) -> None:
        if not self._history:
            return
        last = self._history[-1]
        seconds = max(sizes.at - last.at, 0.001)
        self._paces.append(
            Pace(
                sizes.at,
                max(sizes.processed - last.processed, 0) / seconds,
                max(sizes.failed - last.failed, 0) / seconds,
                sum(sizes.waiting.values()),
                running,
            )
        )


def _expected(look: Look) -> int:
    """As many processes as the living workers of ours are to have."""
    living = (w for w in look.workers if not is_silent(look.heartbeats.get(w, ""), look.at))
    return sum(name.worker_count for each in living if (name := worker_name(each)) is not None)


def _cpu_of(
    processes: Sequence[ProcessLook], at: float, before: Mapping[str, _Cpu]
) -> dict[str, _Cpu]:
    """Vitals are written every 10 s, so a share is that of the time between two of them."""
    found = {}
    for each in processes:
        used = each.vitals.cpu if each.vitals is not None else None
        if used is None:
            continue
        last = before.get(each.id)
        if last is None:
            found[each.id] = _Cpu(at, used, None)
        elif used == last.seconds and at - last.at < 2 * VITALS_SECONDS:
            found[each.id] = last
        else:
            share = max(used - last.seconds, 0.0) / max(at - last.at, 0.001)
            found[each.id] = _Cpu(at, used, share)
    return found


def calm_sentence(done_rate: float, queues: Sequence[QueueRow]) -> str:
    """Of a system where nothing is wrong."""
    aged = [each for each in queues if not each.is_paused]
    ages = [each.age_seconds for each in aged if each.age_seconds is not None]
    if ages and max(ages) >= LATE_SECONDS:
        late = f"the oldest job has waited for {tight(max(ages))}"
        return f"Nothing gets worse. {rate(done_rate)}/s, {late}, no job was lost."
    waits = f"nothing waits over {tight(max(ages))}" if ages else "nothing waits"
    return f"All is well. {rate(done_rate)}/s, {waits}, no job was lost."


def _waits_of(job: str, look: Look, jobs: HeldJobs | None) -> Counter[str]:
    """On what the running jobs of a class wait, as far as that is known."""
    found: Counter[str] = Counter()
    for process in look.processes if jobs is not None else ():
        for slot, wait in process.running.waits.items():
            held = jobs.get((process.id, slot)) if jobs is not None else None
            if held is not None and held.job == job and wait.waits_on:
                found[wait.waits_on] += 1
    return found
