"""The envelope of a payload: its one field `"gresque":{…}`, for all that gresque adds. Pure.

Other programs pass over it. It is absent when it is empty. To change it leaves every other byte of
the payload as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import msgspec

Members = dict[str, msgspec.Raw]
"""The members of an envelope by name. Values stay bytes, so that those of later versions are
handed on as they are."""

DIRTY_EXIT = "dirty_exit"
"""The job's declared wish for the death of its process, or a shutdown."""

RUN_AT = "run_at"
"""When a delayed job is due, in epoch seconds."""
CRON = "cron"
SCHEDULED_FOR = "scheduled_for"
"""Of a job that a schedule has enqueued: the name of the entry, and the time that was due, in
ISO 8601 with the zone of the entry."""

META = "meta"
"""An object of the application's, which middleware writes and reads."""

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_AS_WRITTEN = b'"gresque":'
"""By gresque itself; other programs may write it with spaces, when they write the payload."""
_PLACES_TRIED = 4


class _Enveloped(msgspec.Struct):
    gresque: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_enveloped = msgspec.json.Decoder(_Enveloped).decode
_members = msgspec.json.Decoder(Members).decode
_encode = msgspec.json.Encoder().encode


def members_of(raw: bytes) -> Members:
    """The envelope of a payload; empty for what has none, or one that cannot be read."""
    try:
        found = _enveloped(raw).gresque
        return {} if found is msgspec.UNSET else _members(found)
    except UNREADABLE:
        return {}


def member(members: Members, name: str, kind: type) -> Any:
    """One member; None when it is missing or of another type."""
    found = members.get(name)
    if found is None:
        return None
    try:
        return _decoder_of(kind)(found)
    except UNREADABLE:
        return None


@cache
def _decoder_of(kind: type) -> Callable[[msgspec.Raw], Any]:
    return msgspec.json.Decoder(kind).decode


def with_members(raw: bytes, members: Mapping[str, Any]) -> bytes:
    """The payload, a JSON object, with this envelope in place of its own. A payload that has to be
    written as a whole, and has a key that is not UTF-8, stays as it is."""
    changed = rewritten(raw, members)
    if changed is not None:
        return changed
    return _appended(raw, _encode(members)) if members and _found(raw) is None else raw


def rewritten(raw: bytes, members: Mapping[str, Any]) -> bytes | None:
    """As `with_members`; None when the payload would not be read with this envelope."""
    try:
        old = _field(raw)
    except UNREADABLE:
        return None
    new = _encode(members) if members else None
    if old == new:
        return raw
    if old is None:
        return _appended(raw, new or b"")
    if new is not None:
        start = raw.rfind(_AS_WRITTEN + old) + len(_AS_WRITTEN)
        changed = raw[:start] + new + raw[start + len(old) :]
        if start >= len(_AS_WRITTEN) and _has(changed, new):
            return changed
    changes = _removals(raw, old) if new is None else _replacements(raw, old, new)
    for changed in changes:
        # The same bytes may stand deeper in the payload: only the parser knows which is the field.
        if _has(changed, new):
            return changed
    try:
        fields = _members(raw)  # named with escapes, or more than once
    except UNREADABLE:
        return None
    fields.pop("gresque")
    return _encode(fields | ({} if new is None else {"gresque": msgspec.Raw(new)}))


def _found(raw: bytes) -> bytes | None:
    try:
        return _field(raw)
    except UNREADABLE:
        return None


def _field(raw: bytes) -> bytes | None:
    found = _enveloped(raw).gresque
    return None if found is msgspec.UNSET else bytes(found)


def _has(raw: bytes, envelope: bytes | None) -> bool:
    try:
        return _field(raw) == envelope
    except UNREADABLE:
        return False


def _appended(raw: bytes, new: bytes) -> bytes:
    end = raw.rindex(b"}")
    comma = b"" if raw.rfind(b'"', 0, end) < 0 else b","  # one with members names them
    return b'%b%b"gresque":%b%b' % (raw[:end], comma, new, raw[end:])


def _replacements(raw: bytes, old: bytes, new: bytes) -> Iterator[bytes]:
    for _, start, end in _places(raw, old):
        yield raw[:start] + new + raw[end:]


def _removals(raw: bytes, old: bytes) -> Iterator[bytes]:
    places = _places(raw, old)
    for name, _, end in places:
        if raw.endswith(b",", 0, name):
            yield raw[: name - 1] + raw[end:]
    for name, _, end in places:
        yield raw[:name] + raw[end + raw.startswith(b",", end) :]


_NAME = re.compile(rb'"gresque"\s*:\s*')


def _places(raw: bytes, old: bytes) -> list[tuple[int, int, int]]:
    """Where the field begins, its value, and where that ends. The last one first: of a name that
    stands twice the last value counts."""
    names = [match for match in _NAME.finditer(raw) if raw.startswith(old, match.end())]
    return [
        (match.start(), match.end(), match.end() + len(old))
        for match in reversed(names[-_PLACES_TRIED:])
    ]
