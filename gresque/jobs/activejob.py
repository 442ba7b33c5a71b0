"""Payloads of Rails' ActiveJob, and the class that listings show of a payload. Pure.

ActiveJob's adapter for Resque enqueues every job under one class, with one object as its argument:
`{"class":"ActiveJob::QueueAdapters::ResqueAdapter::JobWrapper","args":[{"job_class":"MailJob",
"arguments":[…],…}]}`. People look for MailJob.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

WRAPPER = "ActiveJob::QueueAdapters::ResqueAdapter::JobWrapper"
"""The class of all payloads of ActiveJob."""

SERIALIZED = "_aj_serialized"
"""In an object that stands for a value which JSON lacks: the class that has written it."""
GLOBAL_ID = "_aj_globalid"
"""In an object that stands for a record: its URI."""
KEYWORDS = "_aj_ruby2_keywords"
"""In a last object that holds the keyword arguments: their names."""
MARKS = frozenset({KEYWORDS, "_aj_symbol_keys", "_aj_hash_with_indifferent_access"})
"""Members that say of which kind of Hash an object is."""


class _Head(msgspec.Struct):
    job_class: str


class _Item(msgspec.Struct):
    args: list[_Head]


class _Entry(msgspec.Struct):
    payload: _Item


_read_item = msgspec.json.Decoder(_Item).decode
_read_entry = msgspec.json.Decoder(_Entry).decode
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def class_in(name: Any, raw: bytes) -> Any:
    """The class to show of a payload of this class: of ActiveJob's the one that it wraps."""
    if name != WRAPPER:
        return name
    try:
        return _class_of(_read_item(raw), name)
    except _UNREADABLE:
        return name


def class_in_entry(name: str | None, raw: bytes) -> str | None:
    """As `class_in`, of the payload in a failure entry."""
    if name != WRAPPER:
        return name
    try:
        return _class_of(_read_entry(raw).payload, name)
    except _UNREADABLE:
        return name


def _class_of(item: _Item, name: str) -> str:
    return item.args[0].job_class if item.args else name


def job_in(args: Sequence[Any]) -> dict[str, Any] | None:
    """The object of an ActiveJob payload with these `args`; None for other arguments."""
    if len(args) != 1 or type(args[0]) is not dict:
        return None
    job: dict[str, Any] = args[0]
    named = isinstance(job.get("job_class"), str)
    return job if named and isinstance(job.get("arguments"), list) else None


def shown(item: dict[str, Any]) -> dict[str, Any]:
    """A payload as people see it: of ActiveJob's the job that it wraps, with its arguments as plain
    JSON, and the rest of ActiveJob's object beside them, as `activejob`."""
    if item.get("class") != WRAPPER:
        return item
    args = item.get("args")
    job = job_in(args) if isinstance(args, list) else None
    if job is None:
        return item
    positional, keywords = plain_arguments(job["arguments"])
    found: dict[str, Any] = {"class": job["job_class"], "args": positional}
    if keywords:
        found["kwargs"] = keywords
    found |= {name: value for name, value in item.items() if name not in ("class", "args")}
    rest = {name: job[name] for name in job if name not in ("job_class", "arguments")}
    return found | {"activejob": rest}


def plain_arguments(arguments: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
    """Positional and keyword arguments, without ActiveJob's marks: a symbol is a text, a time as
    ActiveJob writes it."""
    found = [_plain(each) for each in arguments]
    if is_keywords(arguments):
        return found[:-1], found[-1]
    return found, {}


def is_keywords(arguments: Sequence[Any]) -> bool:
    """Whether the last of these arguments holds the keyword arguments."""
    return bool(arguments) and type(arguments[-1]) is dict and KEYWORDS in arguments[-1]


def _plain(value: Any) -> Any:
    if type(value) is list:
        return [_plain(each) for each in value]
    if type(value) is not dict:
        return value
    if isinstance(value.get(GLOBAL_ID), str):
        return value[GLOBAL_ID]
    if SERIALIZED not in value:
        return {name: _plain(each) for name, each in value.items() if name not in MARKS}
    if "value" in value:
        return _plain(value["value"])
    return {name: _plain(each) for name, each in value.items() if name != SERIALIZED}
