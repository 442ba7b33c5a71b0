"""An entry of the failed list, as the Ruby clients read and write it. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

import msgspec

from gresque.jobs.payload import in_entry, out_of_entry

MAX_ERROR_CHARS = 10_000
MAX_FRAMES = 100


class FailedEntry(msgspec.Struct, omit_defaults=True):
    """One failed job. `payload` is the queue item to the letter, or what `payload.in_entry` makes
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
    raw: bytes, exception: str, error: str, backtrace: list[str], worker: str, queue: str
) -> bytes:
    """Write the entry of a job that failed now."""
    entry = FailedEntry(
        failed_at=timestamp(time.time()) + " UTC",
        payload=msgspec.Raw(in_entry(raw)),
        exception=_sendable(exception),
        error=_sendable(error[:MAX_ERROR_CHARS]),
        backtrace=[_sendable(line) for line in backtrace],
        worker=_sendable(worker),
        queue=_sendable(queue),
    )
    return _encode(entry)


def decode_entry(raw: bytes) -> FailedEntry:
    """Read an entry of any Resque. Raises msgspec.MsgspecError for what is none."""
    return _decode(raw)


def timestamp(epoch_seconds: float) -> str:
    """Resque's format of `failed_at` and `retried_at`: `2026/11/23 15:33:14`, in UTC."""
    return time.strftime("%Y/%m/%d %H:%M:%S", time.gmtime(epoch_seconds))


def exception_name(error: BaseException) -> str:
    """Its class; with the module unless that is the standard library's or gresque's own."""
    kind = type(error)
    if kind.__module__ in ("builtins", "gresque.errors"):
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def error_text(error: BaseException) -> str:
    """The exception's message; an exception whose `__str__` raises still gets an entry."""
    try:
        return str(error)
    except BaseException as broken:
        return f"<no message: {type(broken).__name__} in __str__>"


def backtrace(error: BaseException) -> list[str]:
    """The frames in Ruby's order and form, the innermost first: ``file:line:in `name'``.

    What caused the exception follows, with its own frames. `traceback.format_exc` reads source
    files and takes 43 µs; this walk takes 2.
    """
    lines = list(_frames(error.__traceback__))
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    seen = {id(error)}
    while cause is not None and id(cause) not in seen and len(lines) < MAX_FRAMES:
        seen.add(id(cause))
        lines.append(f"caused by {exception_name(cause)}: {error_text(cause)[:1000]}")
        lines.extend(_frames(cause.__traceback__))
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return lines[:MAX_FRAMES]


def _frames(trace: TracebackType | None) -> Iterator[str]:
    frames = []
    while trace is not None:
        line = frame_line(trace.tb_frame, trace.tb_lineno)
        if line is not None:
            frames.append(line)
        trace = trace.tb_next
    return reversed(frames[-MAX_FRAMES:])


def frame_line(frame: FrameType, line_number: int) -> str | None:
    """One frame in Ruby's form; None for one of gresque's own."""
    if str(frame.f_globals.get("__name__")).startswith(_OURS):
        return None
    return f"{frame.f_code.co_filename}:{line_number}:in `{frame.f_code.co_name}'"


_OURS = ("gresque.worker.", "gresque.jobs.")
"""Frames of these modules carry the job; they tell its author nothing."""


def _sendable(text: str) -> str:
    """Without lone surrogates, which UTF-8 cannot carry."""
    return text.encode("utf-8", "backslashreplace").decode()
