"""What is likely to go wrong in a worker of these settings and jobs. `gresque check` prints it, and
a worker logs it when it starts. Each check is a function of its own; none asks Redis."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from gresque.errors import JobDeclarationError
from gresque.jobs.definition import JobDefinition
from gresque.jobs.registry import registry
from gresque.queue_list import quoted
from gresque.schedule.declared import declared as schedule
from gresque.schedule.entry import Entry
from gresque.schedule.line import CronLine
from gresque.settings import Settings
from gresque.worker.blocking import REMEDIES, blocking_libraries

SPARE_DESCRIPTORS = 100
"""Descriptors of a worker process beside one socket for each thread, rounded up."""


class Loaded(NamedTuple):
    """The settings of a worker, and the jobs that its modules have declared, by name."""

    settings: Settings
    jobs: Sequence[JobDefinition]

    @classmethod
    def now(cls, settings: Settings) -> Loaded:
        """The jobs that are declared by now."""
        return cls(settings, sorted(registry, key=lambda job: job.name))

    @property
    def modules(self) -> set[str]:
        """Those that are required, and those that declare jobs."""
        return {*self.settings.require, *(job.function.__module__ for job in self.jobs)}

    def unserved(self) -> Iterator[JobDefinition]:
        """The jobs whose own queue this worker does not serve."""
        queues = self.settings.queues
        if queues is None:
            return
        for job in self.jobs:
            if job.queue is not None and job.queue not in queues.resolve([job.queue]):
                yield job


Check = Callable[[Loaded], Iterable[str]]
"""Its warnings, each with the remedy."""


def unserved_jobs(loaded: Loaded) -> Iterator[str]:
    for job in loaded.unserved():
        queue = str(job.queue)
        yield (
            f"job {job.name} goes to queue {queue!r}, which {loaded.settings.queues} does not serve"
            + (f"; with -q it is written {quoted(queue)}" if quoted(queue) != queue else "")
        )


def blocking(loaded: Loaded) -> Iterator[str]:
    for library in blocking_libraries(loaded.modules):
        yield f"{library} waits in C and so blocks every job of its process: {REMEDIES[library]}"


def open_files(loaded: Loaded) -> Iterator[str]:
    threads = loaded.settings.thread_count
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit not in (-1, resource.RLIM_INFINITY) and limit < threads + SPARE_DESCRIPTORS:
        yield (
            f"{threads:,} threads with a socket each are over the limit of {limit:,} open files; "
            f"raise it: ulimit -n {max(threads + SPARE_DESCRIPTORS, 65_536)}"
        )


def schedules(loaded: Loaded) -> Iterator[str]:
    return schedule_warnings(schedule, jobs_are_known=bool(loaded.jobs))


def schedule_warnings(entries: Iterable[Entry], *, jobs_are_known: bool) -> Iterator[str]:
    """Of entries whose job no module declares, and of those with a time that the clocks pass over
    within a year."""
    now = int(time.time() * 1000)
    for entry in entries:
        if jobs_are_known and registry.find(entry.job) is None:
            yield f"schedule entry {entry.name}: {registry.explain_unknown(entry.job)}"
        line = entry.schedule
        gap = line.gap(now) if isinstance(line, CronLine) else None
        if gap is not None:
            runs = f"it runs at {gap.runs_at}" if gap.runs_at else "it does not run"
            yield (
                f"schedule entry {entry.name} ({line.text}): on {gap.day} the clocks pass over "
                f"{gap.local}, and {runs} on that day; choose another hour, or UTC, where that "
                "matters"
            )


def annotated(loaded: Loaded) -> Iterator[str]:
    """Else the first job of that name would say so. It makes the conversions of all jobs, once for
    all processes of a master that has loaded them."""
    for job in loaded.jobs:
        if job.typed_args is not None:
            try:
                job.typed_args.prepare()
            except JobDeclarationError as error:
                yield f"{error}. Until then its jobs fail"


AT_START: tuple[Check, ...] = (blocking, open_files, annotated)
"""A worker that serves some queues of many is in order: the jobs of others are only counted."""
CHECKS: tuple[Check, ...] = (unserved_jobs, schedules, *AT_START)


def warnings(loaded: Loaded, checks: Iterable[Check] = CHECKS) -> list[str]:
    return [warning for check in checks for warning in check(loaded)]


def declared(loaded: Loaded) -> str:
    """`40 jobs declared`, and how many of them this worker leaves to others."""
    count, unserved = len(loaded.jobs), sum(1 for _ in loaded.unserved())
    text = f"{count:,} job{'' if count == 1 else 's'} declared"
    if unserved:
        text += f", {unserved:,} of them for queues that it does not serve (see gresque check)"
    return text
