"""Queue items as failure entries keep them: a job as it is, anything else as the argument of one.
Pure: bytes in, bytes out."""

from __future__ import annotations

import base64
import binascii
import codecs
from contextlib import suppress
from typing import Any

import msgspec

from gresque.errors import InvalidPayload
from gresque.jobs.payload import INVALID, MAX_PAYLOAD_BYTES

BASE64 = "base64"
"""The second argument then, when the item is not UTF-8 and the first one is its base64."""


def in_entry(raw: bytes) -> bytes:
    """The payload by which a failure entry keeps a queue item: a job as it is, anything else as
    `{"class":"gresque.InvalidPayload","args":["<raw>"]}`, or with `"<base64>","base64"` as its
    arguments when it is not UTF-8.

    The pages and clients of every Resque can show this and requeue it; a payload of null breaks
    them. `out_of_entry` gives the item back.
    """
    return raw if is_job(raw) else wrapped(raw)


def wrapped(raw: bytes) -> bytes:
    """These bytes as the argument of a job of class `INVALID`."""
    with suppress(UnicodeDecodeError):
        written = _encode({"class": INVALID, "args": [raw.decode()]})
        # Escapes may make it six times as long, and Redis takes no text above 512 MB.
        if len(written) <= 2 * max(len(raw), MAX_PAYLOAD_BYTES):
            return written
    return _encode({"class": INVALID, "args": [base64.b64encode(raw).decode(), BASE64]})


def out_of_entry(payload: bytes) -> bytes | None:
    """The item that `in_entry` wrapped; None when the payload is a job's own.

    Raises InvalidPayload when the base64 is broken.
    """
    try:
        wrapped = _decode_wrapped(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if wrapped.name != INVALID or not wrapped.args:
        return None
    raw, *encoding = wrapped.args
    if not encoding:
        return raw.encode()
    try:
        return base64.b64decode(raw, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidPayload(f"the base64 of its payload cannot be read: {error}") from None


def is_job(raw: bytes) -> bool:
    """True when the item can be read as a job, and so can stand in another JSON text as it is."""
    if len(raw) > MAX_PAYLOAD_BYTES:
        return _is_large_job(raw)
    item = _parse(raw)
    return (
        isinstance(item, dict)
        and isinstance(item.get("class"), str)
        and isinstance(item.get("args"), list | None)
    )


def _is_large_job(raw: bytes) -> bool:
    """As `is_job`, in little memory: the objects of an item may take 25 times its size."""
    try:
        outline = _decode_outline(raw)
        check = codecs.getincrementaldecoder("utf-8")().decode
        for start in range(0, 0 if raw.isascii() else len(raw), _CHUNK):
            check(raw[start : start + _CHUNK], final=start + _CHUNK >= len(raw))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return bytes(memoryview(outline.args)[:1]) in b"[n"


_CHUNK = 1 << 20


def _parse(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


class _Wrapped(msgspec.Struct):
    name: str = msgspec.field(name="class")
    args: list[str] | None = None


class _Outline(msgspec.Struct):
    """A job's fields, checked for their types without making an object of each value."""

    name: str = msgspec.field(name="class")
    args: msgspec.Raw = msgspec.Raw(b"null")


_encode = msgspec.json.Encoder().encode
_decode_wrapped = msgspec.json.Decoder(_Wrapped).decode
_decode_outline = msgspec.json.Decoder(_Outline).decode
