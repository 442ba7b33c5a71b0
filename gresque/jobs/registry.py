"""The jobs that are declared in this process, by the name that stands in their payloads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gresque.errors import InvalidPayload, JobDeclarationError, UnknownJob
from gresque.jobs.activejob import WRAPPER, job_in
from gresque.jobs.definition import JobDefinition
from gresque.jobs.payload import INVALID, class_of
from gresque.jobs.source import clash

MOST_SUGGESTED = 3
CLOSE = 0.75
LONGEST_COMPARED = 200
"""The comparison takes the square of it, and a worker's loop waits meanwhile."""
SUGGESTIONS_KEPT = 100


class Registry:
    """Name -> definition. Only what is in here can run: a payload never names an import path."""

    def __init__(self) -> None:
        self._definitions: dict[str, JobDefinition] = {}
        self._suggestions: dict[str, str] = {}
        """Thousands of jobs may have the same wrong name."""
        self.find = self._definitions.get
        """`find(name)`: the definition or None. The dict's own method, for the worker's loop."""

    def add(self, definition: JobDefinition) -> None:
        """Declare a job. Declaring it again (a reloaded module) replaces it; another one under the
        same name raises JobDeclarationError."""
        known = self._definitions.get(definition.name)
        if known is not None and clash(
            known.source, known.function, definition.source, definition.function
        ):
            raise JobDeclarationError(
                f"two jobs are named {definition.name!r}: {known.source} and "
                f"{definition.source}; give one of them another name="
            )
        self._definitions[definition.name] = definition
        self._suggestions.clear()

    def get(self, name: str) -> JobDefinition:
        """The job `name`; raises UnknownJob."""
        definition = self.find(name)
        if definition is None:
            raise UnknownJob(self.explain_unknown(name))
        return definition

    def queue_of(self, name: str) -> str | None:
        """The queue that the job declares, if it is declared and has one."""
        definition = self.find(name)
        return None if definition is None else definition.queue

    def get_wrapped(self, name: str, args: Sequence[Any] | None) -> JobDefinition:
        """The job in a payload of ActiveJob, by its own class; of others as `get`."""
        if name != WRAPPER:
            return self.get(name)
        job = job_in(args or ())
        if job is None:
            raise InvalidPayload(
                "the payload is not a job of ActiveJob: its args are not one object with a "
                "job_class and arguments"
            )
        inner = job["job_class"]
        definition = self.find(inner)
        if definition is not None and definition.is_active_job:
            return definition
        if definition is not None:
            raise UnknownJob(
                f"the job {inner!r} of ActiveJob is declared here as {definition.source}, by "
                f"gresque.job; declare it with @activejob.job({inner!r})"
            )
        raise UnknownJob(
            f"no job of ActiveJob named {inner!r} is declared here{self.suggest(inner)}; declare "
            f"it with @activejob.job({inner!r}) in a module that -r names"
        )

    def of(self, raw: bytes) -> JobDefinition | None:
        """The declared job of a payload, as far as it can be read."""
        name = class_of(raw)
        return None if name is None else self.find(name)

    def explain_unknown(self, name: str) -> str:
        if name == INVALID:
            return (
                f"a job of class {INVALID} keeps an item that was no job as its argument, and this "
                'one has none; write it as "args":["<the item>"]'
            )
        return (
            f"no job named {name!r} is declared here{self.suggest(name)}; require its module with "
            "-r, or check the name"
        )

    def suggest(self, name: str) -> str:
        """` (did you mean 'app.mail'?)`: the declared names that are nearest; empty without any."""
        if name not in self._suggestions:
            if len(self._suggestions) >= SUGGESTIONS_KEPT:
                self._suggestions.clear()
            names = " or ".join(map(repr, self._nearest(name)))
            self._suggestions[name] = f" (did you mean {names}?)" if names else ""
        return self._suggestions[name]

    def _nearest(self, name: str) -> list[str]:
        """First those that differ by their module only: it was moved, or is spelled otherwise."""
        if len(name) > LONGEST_COMPARED:
            return []
        last = name.rpartition(".")[2]
        moved = sorted(known for known in self._definitions if known.rpartition(".")[2] == last)
        from difflib import get_close_matches  # 2 ms, for few programs

        alike = get_close_matches(name, self._definitions, cutoff=CLOSE)
        return [*dict.fromkeys([*moved, *alike])][:MOST_SUGGESTED]

    def __iter__(self) -> Iterator[JobDefinition]:
        return iter(self._definitions.values())

    def __len__(self) -> int:
        return len(self._definitions)


registry = Registry()
"""The registry of this process."""
