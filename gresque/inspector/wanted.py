"""Which running jobs are meant: by class, queue, process and age. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gresque.processes.short_names import processes_named
from gresque.store.commands import Running


@dataclass(frozen=True)
class WantedRunning:
    """None means any. `longer_than` is in seconds; of jobs that have been running for less than a
    second the age is not known, and they are never older. `process` may be a short name, a worker
    or a host."""

    job_class: str | None = None
    queue: str | None = None
    process: str | None = None
    longer_than: float | None = None

    def __bool__(self) -> bool:
        """False when every running job is meant."""
        return self != ANY

    def processes(self, process_ids: Iterable[str]) -> list[str]:
        return (
            [*process_ids] if self.process is None else processes_named(process_ids, self.process)
        )

    def slots(self, running: Mapping[str, Running], now: float) -> dict[str, list[str]] | None:
        """The slots of those that are old enough, by process; None when any age will do."""
        if self.longer_than is None:
            return None
        latest = now - self.longer_than
        slots = {
            process: [slot for slot, since in each.since.items() if since <= latest]
            for process, each in running.items()
        }
        return {process: found for process, found in slots.items() if found}

    def matches(self, job_class: object, queue: str) -> bool:
        """Whether a job of the right age and process is meant."""
        return (self.job_class is None or job_class == self.job_class) and (
            self.queue is None or queue == self.queue
        )


ANY = WantedRunning()
