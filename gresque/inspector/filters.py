"""The filter language of the pages, `gresque top` and the command line. Pure.

    >5s class:myjobs.Sync queue:mail host:web-07 waits:api.example text "more text"

A job is meant when all kinds of terms match; of several terms of one kind one must match, of
several texts all. `class:`, `queue:` and `exception:` take the whole name, or a pattern such as
`class:myjobs.*`; `host:` a host, a worker or a process by any of its names; `id:` an id or 8 or
more digits of its end; `waits:` a part of what a job waits on. A text is looked for in what is
shown of a job, in upper or lower case. `>` and `<` take an age: 90, 5s, 10m, 2h, 1d.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple

import msgspec

from gresque.errors import FilterError
from gresque.failure.search import Glance, Wanted
from gresque.jobs import payload
from gresque.processes.short_names import has_id, processes_named
from gresque.seconds import AGES, parse_age
from gresque.store.commands import Running
from gresque.text import printable

LONGER, SHORTER, TEXT = ">", "<", ""
CLASS, QUEUE, HOST, WAITS, EXCEPTION, ID = "class", "queue", "host", "waits", "exception", "id"

ALL = (CLASS, QUEUE, HOST, WAITS, EXCEPTION, ID)
"""The names of terms."""
OF_RUNNING = (CLASS, QUEUE, HOST, WAITS, ID)
OF_FAILED = (CLASS, QUEUE, EXCEPTION, ID)
OF_WAITING = (CLASS, QUEUE, ID)

MOST_CHARS = 2000
"""Of a filter: it stands in the address of a page."""
_OTHER_NAMES = {"process": HOST, "worker": HOST}
_WORD = re.compile(r'\s*(?:([<>])|([a-z_]+):(?!//))?("(?:[^"\\]|\\.)*"|[^\s"]*)(?=\s|$)')
_SPACES = re.compile(r"\s*")
_BARE = re.compile(r'(?![<>]|[a-z_]+:(?!//))[^\s"]+')
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class Term(NamedTuple):
    """A part of a filter: one of ALL, LONGER, SHORTER or TEXT, and its value as text; of an age in
    its shortest form."""

    key: str
    value: str

    def __str__(self) -> str:
        """As it is typed."""
        if self.key in (LONGER, SHORTER):
            return self.key + self.value
        bare = _BARE.fullmatch(self.value) if self.key == TEXT else _is_word(self.value)
        value = self.value if bare else _quoted(self.value)
        return f"{self.key}:{value}" if self.key else value


@dataclass(frozen=True)
class Filter:
    """What a filter says; without terms it means every job. `str()` of it is the text again.

    Of jobs that have been running for less than a second the age is not known: they are never
    older than anything, and younger than everything.
    """

    terms: tuple[Term, ...] = ()

    def __bool__(self) -> bool:
        """False when every job is meant."""
        return bool(self.terms)

    def __str__(self) -> str:
        return " ".join(map(str, self.terms))

    def values(self, key: str) -> tuple[str, ...]:
        """The values of all terms of one kind."""
        return tuple(term.value for term in self.terms if term.key == key)

    def __contains__(self, term: tuple[str, str]) -> bool:
        return term in self.terms

    def plus(self, key: str, value: str) -> Filter:
        """The filter with one more term."""
        return self if (key, value) in self else Filter((*self.terms, Term(key, value)))

    def minus(self, key: str, value: str | None = None) -> Filter:
        """The filter without a term, or without all of this kind."""
        kept = [t for t in self.terms if t.key != key or (value is not None and t.value != value)]
        return Filter(tuple(kept))

    def __and__(self, other: Filter) -> Filter:
        """The filter with the terms of another one, too."""
        return Filter(tuple(dict.fromkeys((*self.terms, *other.terms))))

    @property
    def longer_than(self) -> float | None:
        """In seconds."""
        return max(map(_age, self.values(LONGER)), default=None)

    @property
    def shorter_than(self) -> float | None:
        """In seconds."""
        return min(map(_age, self.values(SHORTER)), default=None)

    # What matches

    def processes(self, process_ids: Iterable[str]) -> list[str]:
        """Those of these processes in which jobs are meant."""
        hosts, ids = self.values(HOST), [*process_ids]
        if not hosts:
            return ids
        wanted = {each for host in hosts for each in processes_named(ids, host)}
        return [each for each in ids if each in wanted]

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

    @property
    def wants_more_than_class_and_queue(self) -> bool:
        """Whether the payload has to be read to tell which jobs in the right processes match."""
        return any(term.key in (WAITS, ID, TEXT) for term in self.terms)

    def matches(
        self,
        *,
        job_class: object = None,
        queue: str | None = None,
        seconds: float | None = None,
        job_id: object = None,
        waits_on: str | None = None,
        exception: str | None = None,
        text: Callable[[], str] = str,
    ) -> bool:
        """Whether a job is meant, as far as it is known; `text` returns what is shown of it. Its
        process is not asked for (see `processes`)."""
        for key, value in ((CLASS, job_class), (QUEUE, queue), (EXCEPTION, exception)):
            patterns = self.values(key)
            if patterns and not any(_is_named(value, each) for each in patterns):
                return False
        if (longest := self.longer_than) is not None and (seconds is None or seconds < longest):
            return False
        if (shortest := self.shorter_than) is not None and (seconds or 0.0) >= shortest:
            return False
        ids, waits, texts = self.values(ID), self.values(WAITS), self.values(TEXT)
        if ids and not any(has_id(job_id, each) for each in ids):
            return False
        waited = (waits_on or "").casefold()
        if waits and not any(each.casefold() in waited for each in waits):
            return False
        if not texts:
            return True
        shown = text().casefold()
        return all(each.casefold() in shown for each in texts)


ANY = Filter()


@dataclass(frozen=True)
class WantedFailed(Wanted):
    """The failed jobs that a filter means, for `RedisBackend`; other fields restrict them further.
    A text is looked for in the whole entry, arguments and backtrace included."""

    filter: Filter = ANY

    def __bool__(self) -> bool:
        return self != WantedFailed()

    def __str__(self) -> str:
        others = super().__str__()
        return f"{others}: {self.filter}" if self.filter else others

    def matches(self, seen: Glance, raw: bytes = b"") -> bool:
        texts = self.filter.values(TEXT)
        if not super().matches(seen) or not self.filter.matches(
            job_class=seen.job_class,
            queue=seen.queue,
            exception=seen.exception,
            job_id=_id_in(raw) if self.filter.values(ID) else None,
            text=lambda: text_of(raw),
        ):
            return False
        # A search must not tell what is not shown. Of a million entries this is for those found.
        hidden = _with_hidden(raw) if texts else None
        return hidden is None or Filter(tuple(Term(TEXT, each) for each in texts)).matches(
            text=lambda: text_of(hidden)
        )


def _id_in(entry: bytes) -> object:
    item = payload.loads(entry).get("payload")
    return item.get("id") if isinstance(item, dict) else None


def _with_hidden(entry: bytes) -> bytes | None:
    """The entry as it is shown; None where nothing in it is hidden."""
    found = payload.read(entry)
    item = found.get("payload")
    if not isinstance(item, dict):
        return None
    whole, shown = payload.with_kwargs(item), payload.for_display(item)
    return None if shown == whole else msgspec.json.encode({**found, "payload": shown})


def text_of(entry: bytes) -> str:
    """What a text is looked for in: the entry as it stands, and without the escapes of JSON."""
    text = entry.decode("utf-8", "replace")
    if "\\" not in text:
        return text
    return "\n".join((text, *_texts(payload.loads(entry))))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from (name, *_texts(each))
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def parse(text: str, keys: Iterable[str] = ALL) -> Filter:
    """Read a filter. `keys` are the names that there are on this page. Raises FilterError, which
    says in one line what is wrong."""
    if len(text) > MOST_CHARS:
        raise FilterError(f"the filter has {len(text):,} characters; {MOST_CHARS:,} are allowed")
    terms: dict[Term, None] = {}
    keys, place = tuple(keys), 0
    while (place := _end_of_spaces(text, place)) < len(text):
        found = _WORD.match(text, place)
        if found is None or found.end() == place:
            raise FilterError(
                f'{_cut(text[place:])} has a quotation mark without its pair; write "…" around '
                'the whole value, and \\" for one within it'
            )
        terms[_term(found, keys)] = None
        place = found.end()
    return Filter(tuple(terms))


def of_terms(values: Mapping[str, str | float | None]) -> Filter:
    """A filter of single values: `of_terms({CLASS: "A", LONGER: 60.0})`; None adds no term."""
    return Filter(
        tuple(
            Term(key, age_text(value) if isinstance(value, int | float) else value)
            for key, value in values.items()
            if value is not None
        )
    )


def age_text(seconds: float) -> str:
    """`90s`, `10m`, `2h`: an age as a filter has it, in the largest unit that it is a multiple
    of."""
    for unit in ("d", "h", "m"):
        if seconds and not seconds % AGES[unit]:
            return f"{seconds / AGES[unit]:.0f}{unit}"
    return f"{round(seconds, 3):.12g}s"


def _end_of_spaces(text: str, place: int) -> int:
    found = _SPACES.match(text, place)
    return found.end() if found else place


def _term(found: re.Match[str], keys: tuple[str, ...]) -> Term:
    sign, name, value = found.groups()
    if value.startswith('"'):
        value = _ESCAPED.sub(r"\1", value[1:-1])
    if sign:
        seconds = parse_age(value)
        if seconds is None:
            raise FilterError(f"{_cut(sign + value)} is not an age; write one such as {sign}5s, "
                              f"{sign}10m or {sign}2h")  # fmt: skip
        return Term(sign, age_text(seconds))
    if name is None:
        if not value:
            raise FilterError('"" is empty; write the text to look for')
        return Term(TEXT, value)
    key = _OTHER_NAMES.get(name, name)
    if key not in keys:
        there = ", ".join(f"{each}:" for each in keys)
        raise FilterError(
            f"there is no {_cut(name + ':')} to filter by here; there are {there} > and <, and for "
            f'a text with a colon "{_cut(name)}:…"'
        )
    if not value:
        raise FilterError(f"{name}: has no value; write it behind the colon, without a space")
    return Term(key, value)


def _age(value: str) -> float:
    return parse_age(value) or 0.0


def _is_named(name: object, pattern: str) -> bool:
    """`*` stands for anything; every other character for itself."""
    if "*" not in pattern:
        return name == pattern
    return isinstance(name, str) and fnmatchcase(name, re.sub(r"([\[?])", r"[\1]", pattern))


def _is_word(value: str) -> bool:
    return bool(value) and not re.search(r'[\s"]', value)


def _quoted(value: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'


def _cut(text: str) -> str:
    shown = printable(text)
    return shown if len(shown) <= 40 else shown[:39] + "…"
