r"""Which queues a worker serves, and in which order. Pure: knows no Redis.

In a list some characters mean something: `,` parts the items, blanks around an item are dropped,
`!` before it excludes, `*?[` make it a glob, `:5` at its end is a cap. A backslash before one of
them makes it a letter of the name: `a\,b` is the queue "a,b". Before any other it is one itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache

from gresque.errors import SettingsError
from gresque.text import is_utf8

_ESCAPED = re.compile(r"\\([,!:*?\[\]\\\s])")
_ITEM = re.compile(rf"(?:{_ESCAPED.pattern}|[^,])+")
_PART = re.compile(rf"{_ESCAPED.pattern}|.", re.DOTALL)
_CAP = re.compile(r":\d+%?$")


@dataclass(frozen=True)
class QueueList:
    """A comma list in strict priority: names, globs (`mail-*`, `*`) and exclusions (`!slow`).

    A glob stands for every existing queue that it matches, by name, less those listed elsewhere,
    so that `critical,*` serves `critical` first and each other queue once.
    """

    patterns: tuple[str, ...]
    """As they are written, escapes included."""
    excluded: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> QueueList:
        """Read `"high,mail-*,!mail-slow"`; SettingsError when nothing is left to serve."""
        items = [_stripped(match[0]) for match in _ITEM.finditer(text)]
        items = list(dict.fromkeys(_canonical(item) for item in items if item))
        for item in items:
            _refuse_cap(item)
        patterns = tuple(item for item in items if not item.startswith("!"))
        excluded = tuple(item[1:] for item in items if item.startswith("!"))
        if not patterns:
            hint = "".join(f" (a queue named {text!r} is written {quoted(text)})" for text in items)
            raise SettingsError(
                "no queues to work: name them in QUEUES or with -q, such as -q high,low or -q '*'"
                + (hint if len(items) == 1 else "")
            )
        found = cls(patterns, excluded)
        if all(p in excluded or "*" in excluded for p in patterns) or (
            not found.dynamic and not found.named
        ):
            raise SettingsError(
                f"no queues to work: {text!r} excludes all that it names; drop an exclusion"
            )
        if not is_utf8(text):
            raise SettingsError(f"queues {text!r}: that is not UTF-8")
        return found

    @cached_property
    def dynamic(self) -> bool:
        """True when a queue that does not exist yet may come to belong to the list."""
        return any(_is_glob(pattern) for pattern in self.patterns)

    @cached_property
    def named(self) -> tuple[str, ...]:
        """The queues that the list serves whether they exist or not."""
        return tuple(self.resolve(()))

    def resolve(self, existing: Iterable[str]) -> list[str]:
        """The queue names to serve, in order, given the names that exist now."""
        listed = {name for name in self.patterns if not _is_glob(name)}
        known = sorted(set(existing) - {_name(pattern) for pattern in listed})
        names: dict[str, None] = {}
        for pattern in self.patterns:
            if pattern in listed:
                names[_name(pattern)] = None
            else:
                names.update(dict.fromkeys(name for name in known if _matches(name, pattern)))
        return [name for name in names if not self._is_excluded(name)]

    def _is_excluded(self, name: str) -> bool:
        return any(_matches(name, pattern) for pattern in self.excluded)

    def __str__(self) -> str:
        return self._text

    @cached_property
    def _text(self) -> str:
        return ",".join([*self.patterns, *("!" + name for name in self.excluded)])


def quoted(name: str) -> str:
    r"""How the queue of this name is written in a list: `a\,b` for "a,b"."""
    text = re.sub(r"[,*?\[]|\\(?=[,!:*?\[\]\\\s])|\\$|^[!\s]|\s$", r"\\\g<0>", name)
    cap = _CAP.search(text)
    return f"{text[: cap.start()]}\\{cap[0]}" if cap else text


def _stripped(item: str) -> str:
    item = item.lstrip()
    bare = item.rstrip()
    # The last blank may be a part of the name.
    return item[: len(bare) + 1] if len(bare) < len(item) and _ends_escaped(bare) else bare


def _ends_escaped(text: str) -> bool:
    """Whether a backslash at its end escapes what follows."""
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1


def _canonical(item: str) -> str:
    """One way to write each name, so that it is served once."""
    if item.startswith("!"):
        return "!" + _canonical(item[1:]) if len(item) > 1 else item
    return item if _is_glob(item) or _capped(item) else quoted(_name(item))


def _capped(item: str) -> re.Match[str] | None:
    cap = _CAP.search(item)
    return None if cap is None or _ends_escaped(item[: cap.start()]) else cap


def _refuse_cap(item: str) -> None:
    cap = _capped(item)
    if cap is not None:
        bare = item[: cap.start()]
        raise SettingsError(
            f"queue {item!r}: caps are not supported yet; name the queue alone, such as {bare!r}, "
            f"or write {bare}\\{cap[0]} for a queue of that name"
        )


@lru_cache(maxsize=10_000)
def _name(pattern: str) -> str:
    return _ESCAPED.sub(r"\1", pattern)


@lru_cache(maxsize=10_000)
def _is_glob(pattern: str) -> bool:
    return any(part[0] in ("*", "?", "[") for part in _PART.finditer(pattern))


@lru_cache(maxsize=10_000)
def _glob(pattern: str) -> str:
    """For fnmatch, which knows no escapes but a set of one."""
    return "".join(
        f"[{part[1]}]" if part[1] in ("*", "?", "[") else part[1] or part[0]
        for part in _PART.finditer(pattern)
    )


def _matches(name: str, pattern: str) -> bool:
    """A queue whose very name looks like the glob belongs to it, too."""
    return fnmatchcase(name, _glob(pattern)) or name == _name(pattern)
