r"""Which queues a worker serves, in which order, and how many jobs of each at once. Pure: knows no
Redis.

Some characters have a meaning in a list: `,` separates items, blanks around an item are dropped,
`!` before an item excludes it, `*?[` make it a glob, `:5` at its end is a cap. A backslash before
one of them makes it a part of the name: `a\,b` is the queue "a,b". Before any other character a
backslash stands for itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache
from typing import NamedTuple

from gresque.errors import SettingsError
from gresque.text import is_utf8

_ESCAPED = re.compile(r"\\([,!:*?\[\]\\\s])")
_ITEM = re.compile(rf"(?:{_ESCAPED.pattern}|[^,])+")
_PART = re.compile(rf"{_ESCAPED.pattern}|.", re.DOTALL)
_CAP = re.compile(r":(|[-+]?[0-9][0-9.]*)(%*)$")
_CAP_IN_ID = re.compile(r"(.+)~[0-9]+%?")
MOST_WEIGHT = 1_000_000
MOST_AT_ONCE = 1_000_000_000
"""As for a cap over all workers."""


class Cap(NamedTuple):
    """How many jobs of a queue one worker runs at once: a number, or percent of its threads."""

    number: int
    is_percent: bool

    def of(self, threads: int) -> int:
        """The number of jobs, for a worker with this many threads in all its processes."""
        return max(self.number * threads // 100, 1) if self.is_percent else self.number

    def __str__(self) -> str:
        return f"{self.number}{'%' if self.is_percent else ''}"


@dataclass(frozen=True)
class QueueList:
    """A comma list in strict priority: names, globs (`mail-*`, `*`), exclusions (`!slow`), and caps
    (`mail:5`, `mail-*:50%`).

    A glob stands for every existing queue that it matches, by name, less those listed elsewhere,
    so that `critical,*` serves `critical` first and each other queue once.
    """

    patterns: tuple[str, ...]
    """As they are written, escapes included, without their caps."""
    excluded: tuple[str, ...] = ()
    caps: tuple[tuple[str, Cap], ...] = ()
    """The patterns that have one."""

    @classmethod
    def parse(cls, text: str) -> QueueList:
        """Read `"high,mail-*:5,!mail-slow"`; SettingsError when nothing is left to serve."""
        items = [_split_cap(item) for item in _items(text)]
        excluded = dict.fromkeys(item[1:] for item, _ in items if item.startswith("!"))
        caps: dict[str, Cap | None] = {}
        for item, cap in items:
            if not item.startswith("!") and caps.setdefault(item, cap) != cap:
                raise SettingsError(
                    f"queue {item!r} is listed {_with(caps[item])} and {_with(cap)}; list it once"
                )
        found = cls(
            tuple(caps), tuple(excluded), tuple((item, cap) for item, cap in caps.items() if cap)
        )
        if not caps:
            found._refuse_empty(text, [item for item, _ in items])
        if all(p in excluded or "*" in excluded for p in caps) or (
            not found.dynamic and not found.named
        ):
            raise SettingsError(
                f"no queues to work: {text!r} excludes all that it names; drop an exclusion"
            )
        if not is_utf8(text):
            raise SettingsError(f"queues {text!r}: that is not UTF-8")
        return found

    @classmethod
    def parse_id(cls, text: str) -> QueueList:
        """Read the list in the id of a worker of any Resque, in which a colon is `~`. The Ruby
        fork's has caps, `mail~5`: that is the queue `mail`, and may be `mail:5`, too. Raises
        SettingsError."""
        bare = [found[1] for item in _items(text) if (found := _CAP_IN_ID.fullmatch(item))]
        return cls.parse(",".join([text, *bare]))

    @staticmethod
    def _refuse_empty(text: str, items: list[str]) -> None:
        hint = f" (a queue named {text!r} is written {quoted(text)})" if len(items) == 1 else ""
        raise SettingsError(
            "no queues to work: name them in QUEUES or with -q, such as -q high,low or -q '*'"
            + hint
        )

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

    def cap_of(self, name: str, threads: int) -> int | None:
        """The most jobs of this queue that a worker runs at once; None where there is no cap.
        `threads` is the number of threads in all its processes. The cap is that of the item that
        serves the queue: the one with exactly its name, else the first glob that matches."""
        if not self.caps:
            return None
        named = [each for each in self.patterns if not _is_glob(each) and _name(each) == name]
        globs = (each for each in self.patterns if _is_glob(each) and _matches(name, each))
        pattern = named[0] if named else next(globs, "")
        cap = dict(self.caps).get(pattern)
        return None if cap is None else cap.of(threads)

    def _is_excluded(self, name: str) -> bool:
        return any(_matches(name, pattern) for pattern in self.excluded)

    def __str__(self) -> str:
        return self._text

    @cached_property
    def _text(self) -> str:
        caps = dict(self.caps)
        items = (f"{each}:{caps[each]}" if each in caps else each for each in self.patterns)
        return ",".join([*items, *("!" + name for name in self.excluded)])

    @cached_property
    def in_id(self) -> str:
        """The list as it stands in the id of a worker. A colon is `~`, so that the id can be split.
        Caps are left out, as the web pages of other programs take each item for the name of a
        queue."""
        text = str(QueueList(self.patterns, self.excluded))
        return text.replace("\\:", ":").replace(":", "~")


@dataclass(frozen=True)
class Weights:
    """How often a queue goes first, in relation to the others: `critical=5,mail-*=2`. A queue that
    is not named weighs 1."""

    weights: tuple[tuple[str, int], ...]
    """Names and globs, as they are written."""

    @classmethod
    def parse(cls, text: str) -> Weights:
        """Raises SettingsError."""
        found: dict[str, int] = {}
        for item in _items(text):
            name, equals, number = item.rpartition("=")
            if not (equals and name):
                raise SettingsError(f"{item!r} is no weight; write one such as critical=5")
            name, weight = _weighed(name.rstrip()), _weight(item, number)
            if found.setdefault(name, weight) != weight:
                raise SettingsError(
                    f"queue {name!r} has two weights, {found[name]} and {weight}; give one"
                )
        if not found:
            raise SettingsError(f"{text!r} has no weights; write them such as critical=5,low=1")
        return cls(tuple(found.items()))

    def of(self, queue: str) -> int:
        """The weight of a queue: that of exactly its name, else that of the first glob that
        matches, else 1."""
        globs = 1
        for pattern, weight in reversed(self.weights):
            if _is_glob(pattern):
                globs = weight if _matches(queue, pattern) else globs
            elif _name(pattern) == queue:
                return weight
        return globs

    def check(self, queues: QueueList) -> None:
        """Raises SettingsError for a weight of a queue that this list does not serve."""
        for pattern, weight in self.weights:
            if _is_glob(pattern):
                serves = queues.dynamic or any(_matches(name, pattern) for name in queues.named)
            else:
                serves = bool(queues.resolve([_name(pattern)]).count(_name(pattern)))
            if not serves:
                raise SettingsError(
                    f"{pattern}={weight}: the queues to work, {queues}, have no {pattern!r}; "
                    "leave it out, or name the queue in QUEUES or with -q"
                )

    def __str__(self) -> str:
        return ",".join(f"{name}={weight}" for name, weight in self.weights)


def quoted(name: str) -> str:
    r"""How the queue of this name is written in a list: `a\,b` for "a,b"."""
    text = re.sub(r"[,*?\[]|\\(?=[,!:*?\[\]\\\s])|\\$|^[!\s]|\s$", r"\\\g<0>", name)
    cap = _CAP.search(text)
    return f"{text[: cap.start()]}\\{cap[0]}" if cap else text


def _items(text: str) -> list[str]:
    items = (_stripped(match[0]) for match in _ITEM.finditer(text))
    return [item for item in items if item]


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
    return item if _is_glob(item) else quoted(_name(item))


def _split_cap(item: str) -> tuple[str, Cap | None]:
    """An item of a list, and its cap."""
    found = _CAP.search(item)
    if found is None or _ends_escaped(item[: found.start()]):
        return _canonical(item), None
    bare = _stripped(item[: found.start()])
    if not bare.lstrip("!"):
        raise _cap_error(item, "no name stands before the cap")
    if item.startswith("!"):
        raise _cap_error(item, "an exclusion has no cap")
    if not found[1] or "." in found[1] or len(found[2]) > 1:
        raise _cap_error(item, "a cap is a whole number, such as 5 or 50%")
    cap = Cap(int(found[1]), bool(found[2]))
    if cap.number < 1:
        raise _cap_error(
            item,
            f"a cap is 1 or more; to leave the queue out write !{bare}, to stop it everywhere: "
            f"gresque pause {bare}",
        )
    if cap.is_percent and cap.number > 100:
        raise _cap_error(item, "a cap in percent of all threads is 100% at most")
    if cap.number > MOST_AT_ONCE:
        raise _cap_error(item, f"a cap is {MOST_AT_ONCE:,} at most")
    return _canonical(bare), cap


def _cap_error(item: str, reason: str) -> SettingsError:
    bare, _, cap = item.rpartition(":")
    return SettingsError(
        f"queue {item!r}: {reason}; a queue of that name is written {bare}\\:{cap}"
    )


def _with(cap: Cap | None) -> str:
    return "without a cap" if cap is None else f"with the cap {cap}"


def _weighed(item: str) -> str:
    """The name or glob of a weight."""
    name, cap = _split_cap(item)
    if cap is not None:
        raise _cap_error(item, "a weight has no cap beside it; caps stand in QUEUES and -q")
    if name.startswith("!"):
        raise SettingsError(f"queue {name!r}: what is excluded has no weight; leave it out")
    return name


def _weight(item: str, number: str) -> int:
    try:
        weight = int(number)
    except ValueError:
        weight = -1
    if not 1 <= weight <= MOST_WEIGHT:
        raise SettingsError(
            f"{item!r}: a weight is a whole number from 1 to {MOST_WEIGHT:,}; to leave a queue out "
            "write !queue in QUEUES or -q"
        )
    return weight


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
