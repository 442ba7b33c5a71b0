"""The arguments of ActiveJob's payloads as Python's values, and values as ActiveJob writes them.
Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from gresque.errors import InvalidArguments, UnserializableArgument
from gresque.jobs.activejob import GLOBAL_ID, KEYWORDS, MARKS, SERIALIZED, is_keywords
from gresque.jobs.ids import JOB_IDS
from gresque.text import printable

MODULE = "ActiveJob::Serializers::"

Read = Callable[[dict[str, Any]], Any]


class Range(NamedTuple):
    """A Range of Ruby's."""

    begin: Any
    end: Any
    exclude_end: bool


def read_arguments(job: str, arguments: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
    """The positional and the keyword arguments of an ActiveJob. Raises InvalidArguments, which
    names the one that cannot be read."""
    found = []
    for position, each in enumerate(arguments, start=1):
        try:
            found.append(_read(each))
        except _Unknown as unknown:
            raise InvalidArguments(
                f"job {printable(job)}: argument {position} was written by ActiveJob's serializer "
                f"{printable(unknown.args[0])}, which is unknown here; declare how to read it: "
                f"@activejob.serializer({printable(unknown.args[0])!r})"
            ) from None
        except Exception as error:
            raise InvalidArguments(
                f"job {printable(job)}: argument {position} cannot be read as ActiveJob wrote it: "
                f"{type(error).__name__}: {printable(error)}"
            ) from error
    if is_keywords(arguments):
        return found[:-1], found[-1]
    return found, {}


class _Unknown(Exception):
    """A serializer that is not known."""


def add_serializer(name: str, read: Read) -> None:
    """Read what this serializer of a Rails program has written: `read` gets its object."""
    _READ[name] = read


def _read(value: Any) -> Any:
    if type(value) is list:
        return [_read(each) for each in value]
    if type(value) is not dict:
        return value
    if isinstance(value.get(GLOBAL_ID), str):
        return value[GLOBAL_ID]
    if SERIALIZED not in value:
        return {name: _read(each) for name, each in value.items() if name not in MARKS}
    name = value[SERIALIZED]
    read = _READ.get(name) if isinstance(name, str) else None
    if read is None:
        raise _Unknown(name)
    return read({member: _read(each) for member, each in value.items() if member != SERIALIZED})


def _time(found: dict[str, Any]) -> datetime:
    """Rails writes nine digits of a second, Python reads six."""
    return datetime.fromisoformat(found["value"])


def _decimal(found: dict[str, Any]) -> Decimal:
    try:
        return Decimal(found["value"])
    except InvalidOperation:
        raise ValueError(f"{found['value']!r} is no decimal") from None


_READ: dict[str, Read] = {
    f"{MODULE}{name}Serializer": read
    for name, read in {
        "Symbol": lambda found: found["value"],
        "Module": lambda found: found["value"],
        "Time": _time,
        "TimeWithZone": _time,
        "DateTime": _time,
        "Date": lambda found: date.fromisoformat(found["value"]),
        "Duration": lambda found: timedelta(seconds=float(found["value"])),
        "BigDecimal": _decimal,
        "Range": lambda found: Range(found["begin"], found["end"], bool(found["exclude_end"])),
    }.items()
}


# From Python


def write_arguments(job: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    """As ActiveJob writes these arguments. Raises UnserializableArgument."""
    written = [_written(f"{job}: argument {n}", each) for n, each in enumerate(args, start=1)]
    if kwargs:
        named = {name: _written(f"{job}: argument {name!r}", kwargs[name]) for name in kwargs}
        written.append({**named, KEYWORDS: [*kwargs]})
    return written


_PLAIN = frozenset({str, int, float, bool, type(None), *JOB_IDS})


def _written(where: str, value: Any) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind in (list, tuple):
        return [_written(where, each) for each in value]
    if kind is dict:
        for name in value:
            if isinstance(name, str) and name.startswith("_aj_"):
                raise UnserializableArgument(f"{where} has the key {name!r}, which is ActiveJob's")
        return {**{n: _written(where, each) for n, each in value.items()}, "_aj_symbol_keys": []}
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise UnserializableArgument(f"{where} is a time without a zone; give it one")
        return _as("Time", value.isoformat(timespec="microseconds"))
    if isinstance(value, date):
        return _as("Date", value.isoformat())
    if isinstance(value, Decimal):
        return _as("BigDecimal", str(value))
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
        with suppress(OverflowError):
            seconds = int(seconds) if seconds.is_integer() else seconds
        parts = [[_as("Symbol", "seconds"), seconds]]
        return {**_as("Duration", seconds), "parts": parts}
    raise UnserializableArgument(
        f"{where} is a {kind.__name__}, which ActiveJob cannot read; pass a text, a number, a "
        "list, a dict, or a time"
    )


def _as(name: str, value: Any) -> dict[str, Any]:
    return {SERIALIZED: f"{MODULE}{name}Serializer", "value": value}
