"""An entry of the failed list, as the Ruby clients read and write it. Pure."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from gresque.clock import failed_at
from gresque.failure.kept_item import in_entry, out_of_entry, wrapped
from gresque.failure.well_formed import well_formed
from gresque.raised import MAX_ERROR_CHARS


class FailedEntry(msgspec.Struct, omit_defaults=True):
    """One failed job. `payload` is the queue item to the letter, or what `kept_item.in_entry` makes
    of one that is no job. `retried_at` marks a retried entry."""

    failed_at: str
    payload: Any
    exception: str
    error: str
    backtrace: list[str] | None
    worker: str
    queue: str
    retried_at: str | None = None

    def item(self) -> bytes:
        """The queue item that failed."""
        payload = msgspec.json.encode(self.payload)
        raw = out_of_entry(payload)
        return payload if raw is None else raw


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(FailedEntry, strict=False).decode


def encode_entry(
    raw: bytes,
    exception: str,
    error: str,
    backtrace: list[str],
    worker: str,
    queue: str,
    *,
    is_item: bool = True,
) -> bytes:
    """Write the entry of a job that failed now. `is_item` is False for bytes that are no queue
    item, of any form."""
    kept = msgspec.Raw(in_entry(raw) if is_item else wrapped(raw))
    error = error[:MAX_ERROR_CHARS]
    entry = FailedEntry(failed_at(time.time()), kept, exception, error, backtrace, worker, queue)
    try:
        return _encode(entry)
    except UnicodeEncodeError:  # rare: to look for it in each text takes longer than to write them
        entry.exception, entry.error = _sendable(exception), _sendable(error)
        entry.backtrace = [_sendable(line) for line in backtrace]
        entry.worker, entry.queue = _sendable(worker), _sendable(queue)
        return _encode(entry)


def decode_entry(raw: bytes) -> FailedEntry:
    """Read an entry of any Resque. Other programs leave fields out, or write null or a number where
    Ruby writes a text; half a character is read as U+FFFD. Raises msgspec.MsgspecError for what is
    none."""
    try:
        return _decode(raw)
    except msgspec.ValidationError:
        found = _object(raw)
        if not isinstance(found.get("payload"), dict) or not found.keys() & {
            "exception", "failed_at",
        }:  # fmt: skip
            raise
    except msgspec.DecodeError:
        readable = well_formed(raw)
        if readable == raw:
            raise
        return decode_entry(readable)
    return FailedEntry(
        failed_at=_text(found.get("failed_at")),
        payload=found["payload"],
        exception=_text(found.get("exception")),
        error=_text(found.get("error")),
        backtrace=_lines(found.get("backtrace")),
        worker=_text(found.get("worker")),
        queue=_text(found.get("queue")),
        retried_at=_text(found.get("retried_at")) or None,
    )


_object = msgspec.json.Decoder(dict[str, Any]).decode


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()


def _lines(value: Any) -> list[str] | None:
    if isinstance(value, str):
        return value.splitlines()
    return [*map(_text, value)] if isinstance(value, list) else None


def _sendable(text: str) -> str:
    """Without lone surrogates, which UTF-8 cannot carry."""
    return text.encode("utf-8", "backslashreplace").decode()
