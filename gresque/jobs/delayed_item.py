"""Items that other programs put into resque-scheduler's lists of delayed jobs. Pure.

Ruby, Node and PHP programs write `{"class","args","queue"}`, where `args` need not be a list.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from gresque.errors import InvalidPayload
from gresque.jobs.attempts import ATTEMPT, SNOOZES, UNKNOWN_SINCE
from gresque.jobs.envelope import RUN_AT, UNREADABLE, Members
from gresque.jobs.ids import new_id

HAS_RUN = frozenset({ATTEMPT, SNOOZES, UNKNOWN_SINCE})
"""Members of the envelope of a job that waits to run again: its expiry does not count from the time
at which that is due."""

_members = msgspec.json.Decoder(Members).decode
_text = msgspec.json.Decoder(str).decode
_decode_number = msgspec.json.Decoder(float | None).decode
_encode = msgspec.json.Encoder().encode


class DelayedItem(NamedTuple):
    """A job as another program has delayed it."""

    name: str
    queue: str
    """Empty when the item names none."""
    raw: bytes
    """The payload to push."""


def read_item(
    item: bytes, due: float, queue_of: Callable[[str], str | None] = lambda name: None
) -> DelayedItem:
    """The job in an item that is due at this time. `queue_of` finds the queue of a class whose item
    names none. Raises InvalidPayload for what is no job.

    The arguments keep their bytes; the field `queue` goes, and an id is added where there is none.
    """
    try:
        members = _members(item)
        name = _text(members["class"])
    except KeyError:
        raise InvalidPayload("the delayed item has no class") from None
    except UNREADABLE as error:
        raise InvalidPayload(f"the delayed item is not a job: {error}") from None
    queue = _queue(members.pop("queue", None)) or queue_of(name) or ""
    args = bytes(members.pop("args", b"[]"))
    if args == b"null":
        args = b"[]"
    elif not args.startswith(b"["):
        args = b"[%b]" % args
    payload: dict[str, Any] = {
        "class": members.pop("class"),
        "args": msgspec.Raw(args),
        "id": members.pop("id", None) or new_id(),
        "generation": members.pop("generation", 1),
        "gresque": {**_envelope(members.pop("gresque", None)), RUN_AT: due},
        **members,
    }
    return DelayedItem(name, queue, _encode(payload))


def with_due(raw: bytes, due: float) -> bytes:
    """The payload of a delayed job that is due at another time, its expiry moved along; that of a
    job which has run before never comes earlier. What is no JSON object stays as it is."""
    try:
        members = _members(raw)
    except UNREADABLE:
        return raw
    envelope = _envelope(members.get("gresque"))
    payload: dict[str, Any] = {**members, "gresque": {**envelope, RUN_AT: due}}
    before, expires_at = _number(envelope.get(RUN_AT)), _number(members.get("expires_at"))
    if before is not None and expires_at is not None:
        moved = round(expires_at + due - before, 3)
        payload["expires_at"] = max(moved, expires_at) if envelope.keys() & HAS_RUN else moved
    return _encode(payload)


def _number(raw: msgspec.Raw | None) -> float | None:
    try:
        found: float | None = _decode_number(raw or b"null")
    except UNREADABLE:
        return None
    return found


def _queue(raw: msgspec.Raw | None) -> str:
    try:
        return _text(raw or b'""')
    except UNREADABLE:
        return ""


def _envelope(raw: msgspec.Raw | None) -> Members:
    try:
        return _members(raw or b"{}")
    except UNREADABLE:
        return {}
