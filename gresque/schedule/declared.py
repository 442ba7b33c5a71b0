"""The schedule entries that the code and the schedule file of this process declare."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from gresque.errors import ScheduleError
from gresque.jobs.definition import JobDefinition
from gresque.jobs.registry import registry
from gresque.schedule.entry import Entry

ATTRIBUTE = "__gresque_cron__"
"""Of a function below whose @gresque.job there is a @gresque.cron: what to declare with the job."""


class Declared:
    """Name -> entry."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._definitions: dict[str, JobDefinition] = {}
        self._waiting: dict[int, Any] = {}

    def add(self, entry: Entry, definition: JobDefinition) -> None:
        """Declare an entry in code. One that is declared again (a reloaded module) is replaced;
        raises ScheduleError for another one of that name."""
        name, known = entry.name, self._definitions.get(entry.name)
        if known is definition:
            raise ScheduleError(
                f"job {definition.name} has two schedules named {name!r}; give each a name="
            )
        if name in self._entries and (known is None or known.name != definition.name):
            raise ScheduleError(
                f"two schedule entries are named {name!r}: of job {self._entries[name].job} and "
                f"of job {definition.name}; give one of them another name="
            )
        self._entries[name], self._definitions[name] = entry, definition

    def replace_file(self, entries: Iterable[Entry]) -> None:
        """Declare the entries of the schedule file in place of those that it had before."""
        self._entries = {
            name: entry for name, entry in self._entries.items() if entry.source != "file"
        }
        for entry in entries:
            if entry.name in self._entries:
                raise ScheduleError(
                    f"the entry {entry.name!r} is declared in the code of job "
                    f"{self._entries[entry.name].job}, too; rename one"
                )
            self._entries[entry.name] = entry

    def expect_job(self, function: Any, declare: Callable[[JobDefinition], None]) -> None:
        """This function is to become a job; its schedule is declared then."""
        vars(function).setdefault(ATTRIBUTE, []).append((declare, function))
        self._waiting[id(function)] = function

    def job_came(self, function: Any, definition: JobDefinition) -> None:
        """The function is a job now; a decorator between the two may have wrapped it."""
        for declare, original in getattr(function, "__dict__", {}).pop(ATTRIBUTE, ()):
            self._waiting.pop(id(original), None)
            declare(definition)

    def digest(self) -> bytes:
        """Differs when any entry differs: 16 bytes."""
        from hashlib import blake2b

        raws = sorted(entry.to_json() for entry in self)
        return blake2b(b"\n".join(raws), digest_size=16).digest()

    def check(self) -> None:
        """Raise ScheduleError for a schedule that belongs to no job."""
        for function in self._waiting.values():
            raise ScheduleError(
                f"{function.__module__}.{function.__qualname__} has a schedule and is no job; "
                "write @gresque.job(queue='...') above or below it"
            )

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def clear(self) -> None:
        self._entries.clear()
        self._definitions.clear()
        self._waiting.clear()


declared = Declared()
"""Those of this process."""


def app_of(modules: Iterable[str]) -> str:
    """The name of a program among those that share a namespace: the modules that declare its
    jobs."""
    return ",".join(sorted(set(modules)))


def find_queue(job: str) -> str | None:
    """The queue of a job that is declared here."""
    definition = registry.find(job)
    return None if definition is None else definition.queue
