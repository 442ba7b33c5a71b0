"""The jobs that are declared in this process, by the name that stands in their payloads."""

from __future__ import annotations

from collections.abc import Iterator

from gresque.errors import JobDeclarationError, UnknownJob
from gresque.jobs.definition import JobDefinition
from gresque.jobs.payload import INVALID
from gresque.jobs.source import clash


class Registry:
    """Name -> definition. Only what is in here can run: a payload never names an import path."""

    def __init__(self) -> None:
        self._definitions: dict[str, JobDefinition] = {}
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

    def get(self, name: str) -> JobDefinition:
        """The job `name`; raises UnknownJob."""
        definition = self.find(name)
        if definition is None:
            raise UnknownJob(self.explain_unknown(name))
        return definition

    def explain_unknown(self, name: str) -> str:
        if name == INVALID:
            return (
                "the item was no job when it failed before, and another program has retried it; "
                "`gresque failed retry` would have put the item back as it was"
            )
        last = name.rpartition(".")[2]
        alike = sorted(known for known in self._definitions if known.rpartition(".")[2] == last)
        meant = f" ({alike[0]!r} is declared)" if alike else ""
        return (
            f"no job named {name!r} is declared here{meant}; require its module with -r, "
            "or check the name"
        )

    def __iter__(self) -> Iterator[JobDefinition]:
        return iter(self._definitions.values())

    def __len__(self) -> int:
        return len(self._definitions)


registry = Registry()
"""The registry of this process."""
