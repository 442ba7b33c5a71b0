"""A running job as the page of the Ruby fork reads it. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

MOST_BYTES = 16_384
"""Of a payload: a longer one is cut."""
SHORT_BYTES = 400
"""The same when much has been published lately."""
MOST_DEPTH = 90
"""Ruby reads 100 levels; the job stands within an object."""
CLASS_CHARS = 100


def published_job(queue: str, started: float, raw: bytes, most_bytes: int = MOST_BYTES) -> bytes:
    """`{"queue","run_at","payload"}`; `started` in epoch seconds. A payload that is longer than
    `most_bytes`, or that Ruby could not read, keeps its class and id, and the beginning of the rest
    as text."""
    item = _read(raw) if len(raw) <= MOST_BYTES else None
    is_whole = len(raw) <= most_bytes and item is not None and not _is_deep(item)
    run_at = datetime.fromtimestamp(int(started), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    job = {
        "queue": _sendable(queue),
        "run_at": run_at,
        "payload": msgspec.Raw(raw) if is_whole else _cut(raw, most_bytes),
    }
    return msgspec.json.encode(job)


class _Outline(msgspec.Struct):
    name: Any = msgspec.field(name="class", default=None)
    id: Any = None
    args: msgspec.Raw = msgspec.Raw(b"")


def _cut(raw: bytes, most_bytes: int) -> dict[str, Any]:
    try:
        outline = msgspec.json.decode(raw, type=_Outline)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        outline = _Outline(args=msgspec.Raw(raw))
    args = bytes(outline.args)
    # As JSON within JSON it may take twice the room.
    beginning = args[: most_bytes // 4].decode("utf-8", "replace")
    found: dict[str, Any] = {
        "class": _name(outline.name),
        "args": [f"{len(args):,} bytes, of which these are the first: {beginning}"],
    }
    return {**found, "id": _name(outline.id)} if outline.id is not None else found


def _name(value: Any) -> str:
    return _sendable(value if isinstance(value, str) else repr(value))[:CLASS_CHARS]


def _read(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _is_deep(item: Any) -> bool:
    level, depth = [item], 0
    while level and depth <= MOST_DEPTH:
        inner = [each for each in level if isinstance(each, dict | list)]
        level = [v for each in inner for v in (each.values() if isinstance(each, dict) else each)]
        depth += 1
    return bool(level)


def _sendable(text: str) -> str:
    """Without lone surrogates, which stand for bytes that are not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()
