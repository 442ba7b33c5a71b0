"""Which queues a worker serves, and in which order. Pure: knows no Redis."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from gresque.errors import SettingsError
from gresque.text import is_utf8

_GLOB = re.compile(r"[*?\[]")
_CAP = re.compile(r":\d+%?$")


@dataclass(frozen=True)
class QueueList:
    """A comma list in strict priority: names, globs (`mail-*`, `*`) and exclusions (`!slow`).

    A glob stands for every existing queue that it matches, by name, less those listed elsewhere,
    so that `critical,*` serves `critical` first and each other queue once.
    """

    patterns: tuple[str, ...]
    excluded: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> QueueList:
        """Read `"high,mail-*,!mail-slow"`; SettingsError when nothing is left to serve."""
        items = [item.strip() for item in text.split(",")]
        items = list(dict.fromkeys(item for item in items if item))
        for item in items:
            if _CAP.search(item):
                raise SettingsError(
                    f"queue {item!r}: caps are not supported yet; name the queue alone, "
                    f"such as {_CAP.sub('', item)!r}"
                )
        patterns = tuple(item for item in items if not item.startswith("!"))
        excluded = tuple(item[1:] for item in items if item.startswith("!"))
        if not patterns:
            raise SettingsError(
                "no queues to work: name them in QUEUES or with -q, such as -q high,low or -q '*'"
            )
        found = cls(patterns, excluded)
        if all(p in excluded or "*" in excluded for p in patterns) or (
            not found.dynamic and not found.resolve(())
        ):
            raise SettingsError(
                f"no queues to work: {text!r} excludes all that it names; drop an exclusion"
            )
        if not is_utf8(text):
            raise SettingsError(f"queues {text!r}: that is not UTF-8")
        return found

    @property
    def dynamic(self) -> bool:
        """True when a queue that does not exist yet may come to belong to the list."""
        return any(_GLOB.search(pattern) for pattern in self.patterns)

    def resolve(self, existing: Iterable[str]) -> list[str]:
        """The queue names to serve, in order, given the names that exist now."""
        listed = {pattern for pattern in self.patterns if not _GLOB.search(pattern)}
        known = sorted(set(existing) - listed)
        names: dict[str, None] = {}
        for pattern in self.patterns:
            if pattern in listed:
                names[pattern] = None
            else:
                names.update(dict.fromkeys(name for name in known if fnmatchcase(name, pattern)))
        return [name for name in names if not self._is_excluded(name)]

    def _is_excluded(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self.excluded)

    def __str__(self) -> str:
        return ",".join([*self.patterns, *("!" + name for name in self.excluded)])
